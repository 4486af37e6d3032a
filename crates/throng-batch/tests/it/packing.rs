//! Packing against the smallest number of requests that there is.

use std::num::NonZeroUsize;

use throng_batch::{Load, Room, pack};

/// Returns the smallest number of requests, by trying every partition.
fn optimum(loads: &[Load], room: &Room) -> usize {
    fn place(loads: &[Load], room: &Room, bins: &mut Vec<(usize, usize, usize)>, best: &mut usize) {
        if bins.len() >= *best {
            return;
        }
        let Some((load, rest)) = loads.split_first() else {
            *best = bins.len();
            return;
        };
        for bin in 0..bins.len() {
            let (n, window, output) = bins[bin];
            let more = (n + 1, window + load.input + load.output, output + load.output);
            if more.0 <= room.agents.get() && more.1 <= room.window && more.2 <= room.output {
                bins[bin] = more;
                place(rest, room, bins, best);
                bins[bin] = (n, window, output);
            }
        }
        bins.push((1, load.input + load.output, load.output));
        place(rest, room, bins, best);
        bins.pop();
    }
    let mut best = loads.len() + 1;
    place(loads, room, &mut Vec::new(), &mut best);
    best
}

fn case(rng: &mut fastrand::Rng, most: usize) -> (Vec<Load>, Room) {
    let window = rng.usize(100..2_000);
    let output = rng.usize(50..window);
    let room = Room::new(NonZeroUsize::new(rng.usize(1..12)).unwrap())
        .window(window)
        .output(output);
    let largest = rng.usize(2..=window.min(output * 2));
    let loads = (0..rng.usize(1..=most))
        .map(|_| {
            let of_answer = rng.usize(0..=largest / 2).min(output);
            Load::new(rng.usize(0..=largest / 2), of_answer)
        })
        .collect();
    (loads, room)
}

/// Every agent is in one request, every request within the room unless it is of one agent.
fn check(loads: &[Load], room: &Room, requests: &[Vec<usize>]) {
    let mut seen = vec![0; loads.len()];
    for request in requests {
        assert!(request.is_sorted() && !request.is_empty());
        request.iter().for_each(|&agent| seen[agent] += 1);
        let input: usize = request.iter().map(|&agent| loads[agent].input).sum();
        let output: usize = request.iter().map(|&agent| loads[agent].output).sum();
        let fits =
            request.len() <= room.agents.get() && input + output <= room.window && output <= room.output;
        assert!(fits || request.len() == 1, "{request:?} of {loads:?} in {room:?}");
    }
    assert!(seen.iter().all(|&n| n == 1), "{seen:?}");
    assert!(requests.is_sorted());
}

#[test]
fn few_agents_take_the_fewest_requests() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..1_000 {
        let (loads, room) = case(&mut rng, 9);
        let requests = pack(&loads, &room);
        check(&loads, &room, &requests);
        assert_eq!(requests.len(), optimum(&loads, &room), "{loads:?} in {room:?}");
    }
}

#[test]
fn many_agents_take_at_most_one_request_more_than_the_fewest() {
    // The fewest are known by making them: requests that are full to the last token, taken apart again.
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..10_000 {
        let (window, requests) = (rng.usize(500..4_000), rng.usize(1..6));
        let mut loads = Vec::new();
        for _ in 0..requests {
            let mut left = window;
            while left > 0 {
                let part = rng.usize(1..=left.min(window / 3));
                let output = rng.usize(0..=part);
                loads.push(Load::new(part - output, output));
                left -= part;
            }
        }
        rng.shuffle(&mut loads);
        let room = Room::new(NonZeroUsize::new(10_000).unwrap()).window(window);
        let packed = pack(&loads, &room);
        check(&loads, &room, &packed);
        assert!(packed.len() <= requests + 1, "{} for {requests}", packed.len());
    }
}

#[test]
fn an_agent_that_is_too_large_is_alone() {
    let room = Room::new(NonZeroUsize::new(4).unwrap()).window(10).output(5);
    let loads = [
        Load::new(3, 1),
        Load::new(30, 1),
        Load::new(1, 6),
        Load::new(3, 1),
    ];
    assert_eq!(pack(&loads, &room), [vec![0, 3], vec![1], vec![2]]);
    assert_eq!(pack(&[], &room), Vec::<Vec<usize>>::new());
}
