//! Operators that wait for something outside of the job, and the driver that waits with them.
//!
//! The work that a chain owes lies on a stack, the last node's on top. A node that takes nothing holds all work of nodes up to
//! itself; what it has emitted goes to nodes behind it and is done before the node is asked again. So rows never change places.

use super::{Chain, Role, Work};
use crate::RuntimeError;
use crate::mailbox::Mail;
use crate::subtask::Subtask;
use std::future::poll_fn;
use std::task::{Context, Poll};
use weir_operators::{Outside, Progress};

enum Come {
    Outside,
    Mail(Mail),
    Alarm,
}

impl Work {
    fn node(&self) -> usize {
        match self {
            Work::Batch { node, .. }
            | Work::Signal { node, .. }
            | Work::ProcessingTime { node, .. }
            | Work::Resume { node, .. }
            | Work::Forward { node, .. } => *node,
        }
    }
}

impl Chain {
    pub(super) fn outside(&self, node: usize) -> Outside {
        match &self.nodes[node].role {
            Role::Operator(role) if !self.nodes[node].ended => role.operator.outside(),
            _ => Outside::Nothing,
        }
    }

    /// The node that has to be waited for before the next step.
    pub(crate) fn held(&self) -> Option<usize> {
        let takes_nothing = |node: &&usize| matches!(self.outside(**node), Outside::Full | Outside::Blocked);
        let node = *self.askers.iter().rev().find(takes_nothing)?;
        self.stack.last().is_none_or(|work| work.node() <= node).then_some(node)
    }

    /// A node for which something has come.
    pub(crate) fn poll_outside(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        for place in 0..self.askers.len() {
            let node = self.askers[place];
            if self.outside(node) != Outside::Nothing && self.poll_node(node, cx).is_ready() {
                return Poll::Ready(node);
            }
        }
        Poll::Pending
    }

    fn poll_node(&mut self, node: usize, cx: &mut Context<'_>) -> Poll<()> {
        self.at_node(node);
        match &mut self.nodes[node].role {
            Role::Operator(role) => role.operator.poll_outside(cx),
            Role::PassThrough => Poll::Pending,
        }
    }

    /// Has a node emit what has come.
    pub(crate) fn on_outside(&mut self, node: usize) -> Result<(), RuntimeError> {
        self.call(node, None, |role, output| {
            role.operator.on_outside(&mut role.context, output)?;
            Ok(Progress::Done)
        })
    }
}

impl Subtask {
    /// Waits until something has come for `node`; meanwhile rows are not held at the edges, and barriers pass if they may.
    pub(crate) async fn wait_outside(&mut self, node: usize) -> Result<(), RuntimeError> {
        let deadline = self.flush_deadline();
        let alarm = &mut self.progress.alarm;
        alarm.set(deadline, &*self.env.clock);
        let (chain, mailbox) = (&mut self.chain, &self.mailbox);
        let mail_too = chain.lies_still();
        let come = poll_fn(|cx| {
            if chain.poll_node(node, cx).is_ready() {
                return Poll::Ready(Come::Outside);
            }
            if mail_too && let Poll::Ready(mail) = mailbox.poll(cx) {
                return Poll::Ready(Come::Mail(mail));
            }
            alarm.poll(cx).map(|()| Come::Alarm)
        });
        match come.await {
            Come::Outside => self.chain.on_outside(node),
            Come::Mail(mail) => self.on_mail(mail).await,
            Come::Alarm => self.flush_late().await,
        }
    }
}
