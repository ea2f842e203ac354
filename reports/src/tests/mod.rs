//! Reports of scripted and of mutilated runs.

mod answer;
mod bad;
mod fuzz;
mod gate;
mod golden;
pub(crate) mod hostile;
mod html;
pub(crate) mod scripted;
mod serving_plan;
