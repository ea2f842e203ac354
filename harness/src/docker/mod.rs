//! Image pulls and containers, through the Docker Engine API.
