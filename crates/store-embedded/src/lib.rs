//! Authorization keys in one local, crash-safe file.
