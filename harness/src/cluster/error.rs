//! Why no profile could be made of a cluster's objects.

/// Why no profile could be made of a cluster's objects. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file that can't be read.
    #[error("read {name}: {source}{}", coldstart_profiles::remedy_of_reading(source))]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not JSON, or JSON of another shape.
    #[error(
        "read {name} as objects of a cluster: {source}: give what `kubectl get pod,event,node -o json` printed"
    )]
    Json {
        /// The file.
        name: String,
        /// Where and why parsing ended.
        source: serde_json::Error,
    },
    /// A pod whose specification or status has another shape.
    #[error("read the {part} of pod `{pod}` in {name}: {source} of it")]
    Pod {
        /// The file.
        name: String,
        /// Its namespace and name.
        pod: String,
        /// `spec` or `status`.
        part: &'static str,
        /// Where in this part and why parsing ended.
        source: serde_json::Error,
    },
    /// An API server's answer that there is nothing to be had.
    #[error("find pods in {name}: the cluster's answer is an error: {said}")]
    Refused {
        /// The file.
        name: String,
        /// The message.
        said: String,
    },
    /// No pod in any file.
    #[error("find a pod in {names}: give what `kubectl get pod,event,node -o json` printed")]
    NoPods {
        /// The files.
        names: String,
    },
    /// No pod has the container or the image that was asked for.
    #[error("find a pod with {what}: there are {there}")]
    NoSuch {
        /// What was asked for.
        what: String,
        /// What there is instead.
        there: String,
    },
    /// Pods of several images, models or GPUs: no one cold start stands for all of them.
    #[error("make one profile of pods with {n} {what}: choose one with `{flag}`: {there}")]
    Several {
        /// How many.
        n: usize,
        /// Of what: `images`.
        what: &'static str,
        /// The option that chooses.
        flag: &'static str,
        /// All of them.
        there: String,
    },
    /// A pod of several containers, of which nothing tells which one serves.
    #[error(
        "tell which container of pod `{pod}` serves, for none asks for a GPU and not one alone is told a model: choose one with `--container`, or \
         pods by `--image`: it has {there}"
    )]
    WhichContainer {
        /// Its namespace and name.
        pod: String,
        /// All of its containers, with their images.
        there: String,
    },
    /// Pods, but no cold start.
    #[error("find a cold start in {pods} pods: {first}")]
    NoColdStart {
        /// How many pods.
        pods: usize,
        /// Why the first of them tells of none.
        first: String,
    },
}
