use super::*;
use crate::simulation::Simulation;
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_types::{CheckpointId, Watermark};

fn batch(values: std::ops::Range<i64>) -> StreamElement {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    let rows = RecordBatch::try_from_iter([("v", column)]).expect("one column");
    StreamElement::Batch(ChangelogBatch::insert_only(rows))
}

fn gate(capacity_bytes: usize, channels: usize) -> (Vec<ChannelSender>, GateReader, Vec<Arc<Mailbox>>) {
    let gate = Arc::new(Gate::new(capacity_bytes, Arc::default()));
    let mailboxes: Vec<Arc<Mailbox>> = (0..channels).map(|_| Arc::default()).collect();
    let senders = mailboxes.iter().map(|mailbox| Gate::connect(&gate, mailbox.clone())).collect();
    (senders, GateReader::new(gate), mailboxes)
}

async fn next(reader: &mut GateReader) -> (usize, StreamElement) {
    poll_fn(|cx| reader.poll_next(cx)).await
}

fn barrier(id: u64) -> StreamElement {
    StreamElement::Barrier(Barrier::of(CheckpointId(id)))
}

#[test]
fn a_slow_consumer_slows_its_sender_and_memory_stays_bounded() {
    for seed in 0..10 {
        let simulation = Simulation::new(seed);
        let env = simulation.env();
        let one = match batch(0..1000) {
            StreamElement::Batch(batch) => batch_bytes(&batch),
            _ => unreachable!("a batch"),
        };
        let (mut senders, mut reader, _) = gate(3 * one, 1);
        let sent = Arc::new(AtomicUsize::new(0));
        let (sender, count) = (senders.remove(0), sent.clone());
        env.spawner.spawn(
            "sender",
            Box::pin(async move {
                for _ in 0..100 {
                    sender.send(batch(0..1000)).await.expect("the reader lives");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }),
        );
        let clock = env.clock.clone();
        simulation.run(async move {
            for received in 0..100 {
                // time passes only when nobody else can run: the sender has sent what it may
                clock.sleep(std::time::Duration::from_millis(1)).await;
                assert_eq!(sent.load(Ordering::Relaxed), (received + 3).min(100), "three batches wait");
                next(&mut reader).await;
            }
        });
    }
}

#[test]
fn barriers_and_watermarks_do_not_wait_and_watermarks_become_one() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (senders, mut reader, _) = gate(1, 1);
        senders[0].send(batch(0..10)).await.expect("room");
        for watermark in 0..50 {
            senders[0].send(StreamElement::Watermark(Watermark(watermark))).await.expect("no wait");
        }
        senders[0].send(barrier(1)).await.expect("no wait");
        assert!(matches!(next(&mut reader).await, (0, StreamElement::Batch(_))));
        assert!(matches!(next(&mut reader).await, (0, StreamElement::Watermark(Watermark(49)))));
        assert!(matches!(next(&mut reader).await, (0, StreamElement::Barrier(_))));
    });
}

#[test]
fn blocked_channels_keep_their_elements_and_channels_take_turns() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (senders, mut reader, _) = gate(1 << 20, 3);
        for sender in &senders {
            for _ in 0..2 {
                sender.send(batch(0..1)).await.expect("room");
            }
        }
        reader.block(|channel| channel == 1);
        let mut order = Vec::new();
        for _ in 0..4 {
            order.push(next(&mut reader).await.0);
        }
        assert_eq!(order, [0, 2, 0, 2]);
        reader.block(|_| false);
        assert_eq!(next(&mut reader).await.0, 1);
    });
}

#[test]
fn a_barrier_is_taken_only_from_the_front() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let (senders, mut reader, _) = gate(1 << 20, 2);
        senders[0].send(batch(0..1)).await.expect("room");
        senders[0].send(barrier(1)).await.expect("room");
        assert_eq!(reader.take_barrier(), None, "a batch stands before it");
        senders[1].send(barrier(1)).await.expect("room");
        assert_eq!(reader.take_barrier().map(|(channel, _)| channel), Some(1));
        next(&mut reader).await;
        assert_eq!(reader.take_barrier().map(|(channel, _)| channel), Some(0));
    });
}

#[test]
fn when_the_reader_goes_senders_hear_of_it() {
    let simulation = Simulation::new(1);
    let env = simulation.env();
    simulation.run(async move {
        let (mut senders, reader, mailboxes) = gate(1, 1);
        senders[0].send(batch(0..10)).await.expect("room");
        let sender = senders.remove(0);
        let (done, waits) = tokio::sync::oneshot::channel();
        env.spawner.spawn(
            "sender",
            Box::pin(async move {
                let sent = sender.send(batch(0..10)).await;
                done.send(sent).expect("the test waits");
            }),
        );
        env.clock.sleep(std::time::Duration::from_millis(1)).await;
        drop(reader);
        assert_eq!(waits.await.expect("the sender ends"), Err(Closed));
        assert!(mailboxes[0].take().is_some_and(|mail| mail.output_closed));
    });
}
