//! The adapter on real builds.
