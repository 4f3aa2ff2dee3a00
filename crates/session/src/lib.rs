//! The session host: sessions behind locks, calls to the backend.
