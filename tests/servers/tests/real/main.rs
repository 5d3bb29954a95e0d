//! Every server starts, takes and gives back something through its own protocol, shows it in its
//! storage, and is gone when dropped.

mod grpc;
mod http;
mod support;
