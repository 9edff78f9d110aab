//! Expired state is dropped in small parts, between batches.

use crate::RuntimeError;
use crate::chain::{Chain, Role};
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, ScanCursor, StateId};

/// A state with a time to live, and how far it has been looked through.
pub(crate) struct Sweep {
    node: usize,
    state: StateId,
    cursor: ScanCursor,
}

impl Chain {
    /// Whether any state of the chain can expire. Windows go by themselves.
    pub(crate) fn has_expiry(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// Notes which states can expire, once operators have registered theirs.
    pub(crate) fn find_expiry(&mut self) {
        let expires = |keyed: &KeyedStateBackend, state: StateId| {
            let descriptor = keyed.descriptor(state);
            descriptor.ttl_ms.is_some() && descriptor.namespace == NamespaceKind::Void
        };
        let mut sweeps = Vec::new();
        for (node, entry) in self.nodes_mut().iter().enumerate() {
            let Role::Operator(role) = &entry.role else { continue };
            let states = role.context.keyed.states().filter(|state| expires(&role.context.keyed, *state));
            sweeps.extend(states.map(|state| Sweep { node, state, cursor: ScanCursor::default() }));
        }
        self.sweeps = sweeps;
    }

    /// Looks at the next `slots` entries of each such state.
    ///
    /// # Errors
    /// If state on this machine's disk could not be read.
    pub(crate) fn sweep(&mut self, slots: u32) -> Result<(), RuntimeError> {
        let mut sweeps = std::mem::take(&mut self.sweeps);
        for sweep in &mut sweeps {
            let node = &mut self.nodes_mut()[sweep.node];
            if let Role::Operator(role) = &mut node.role {
                let now_ms = role.context.clock.now_ms();
                role.context.keyed.set_time(now_ms);
                role.context.keyed.sweep(sweep.state, Namespace::Void, &mut sweep.cursor, slots);
                role.context.after_call().map_err(|error| node.fail(error))?;
            }
        }
        self.sweeps = sweeps;
        Ok(())
    }
}
