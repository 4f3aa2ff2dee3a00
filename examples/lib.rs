//! Programs to learn from; `README.md` beside this file says which teaches what.
