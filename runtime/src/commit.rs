//! Making output visible.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_checkpoint::{CommitPermit, Committables};
use weir_connectors::{Committable, Committer};
use weir_types::{Classify, JobError, OperatorId, failpoint};

/// The committers of a job's sinks.
pub(crate) type Committers = BTreeMap<OperatorId, Arc<dyn Committer>>;

/// Makes output visible: the only place that does, and it takes a permit.
pub(crate) async fn commit(committers: Committers, permit: CommitPermit) -> Result<(), JobError> {
    let mut of_operator: BTreeMap<OperatorId, Vec<Committable>> = BTreeMap::new();
    for Committables { operator, committables } in permit.into_committables() {
        of_operator.entry(operator).or_default().extend(committables.into_iter().map(Committable));
    }
    for (operator, committables) in of_operator {
        failpoint("before-commit");
        let Some(committer) = committers.get(&operator) else {
            return Err(JobError::internal(format!(
                "{operator}: the sink has no committer for what it wrote"
            )));
        };
        let committed = committer.commit(&committables).await;
        committed.map_err(|error| JobError::new(error.kind(), format!("{operator}: {error}")))?;
        failpoint("after-commit");
    }
    Ok(())
}
