//! The Remote Execution API against real servers, and against one that is odd or lies.

mod real;
mod support;
