//! The whole answer as plain data: what was asked, what it rests on, how many replicas, which settings, where the model
//! should live, and what each mitigation would bring.
//!
//! A [`ServingPlan`] is not the plan of a measuring run (`coldstart_profiles::Plan`): that one says what a run does, this one
//! what a cluster should do.

mod alternatives;
#[cfg(test)]
mod by_hand_tests;
mod caveats;
mod cheapest;
#[cfg(test)]
mod cheapest_tests;
mod comparison;
mod courses;
mod drawn;
mod explain;
#[cfg(test)]
mod explained_tests;
mod format;
mod given;
mod inherited;
mod line;
mod make;
mod outlook;
mod places;
#[cfg(test)]
mod places_tests;
mod replay;
mod request;
mod schema;
mod serving_plan;
#[cfg(test)]
mod tests;

pub use cheapest::Fewest;
pub use comparison::{Moment, PolicyComparison};
pub use courses::{Course, Courses};
pub use explain::{Explanation, explain, fields, names, numbers};
pub use format::PlanFormat;
pub use make::make_plan;
pub use request::{LeftOutProfile, PlacesRequest, PlanRequest, TrafficSource};
pub use schema::plan_schema;
pub use serving_plan::{Capacity, ClassOutlook, ServicePlan, ServingPlan};
