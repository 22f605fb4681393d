//! Sessions over an engine on the simulated disk.

mod session;
