//! The Remote Execution API against real servers, and against one that is odd or lies.

mod odd;
mod real;
mod server;
mod support;
mod tls;
