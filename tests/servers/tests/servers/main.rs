//! Every server starts, takes and gives back something through its own protocol, shows it in its
//! storage, and is gone when dropped. The doubles do what they promise.

mod bazel_remote;
mod faults;
mod foreign;
mod grpc;
mod http;
mod support;
