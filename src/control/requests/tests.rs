//! What is read of pasted requests.
