//! What must hold of the roofline law.
