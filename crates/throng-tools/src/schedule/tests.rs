use super::*;

#[test]
fn a_chain_runs_in_order() {
    let mut admission = Admission::new(4);
    let mut schedule = Schedule::new(&mut admission, None);
    let class = schedule.class(&admission, &[]);
    for _ in 0..3 {
        schedule.add(NodeSpec::new(class));
    }
    schedule.edge(0, 1, EdgeKind::Explicit);
    schedule.edge(1, 2, EdgeKind::Reference);
    schedule.start().unwrap();
    for node in 0..3 {
        let start = schedule.next(&mut admission, 0).unwrap();
        assert_eq!(start, Start { node, retried: false });
        assert_eq!(schedule.next(&mut admission, 0), None);
        schedule.ended(&mut admission, node, End::Succeeded);
    }
    assert!(schedule.is_done());
    schedule.close(&mut admission);
    assert_eq!(admission.used(admission.global()), 0);
}
