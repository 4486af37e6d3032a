//! Requests and events as JSON, and the fingerprints of requests.

use serde_json::{Value, json};
use throng_llm::{
    Fingerprint, FinishReason, Image, Message, Part, Request, ResponseFormat, Role, StreamEvent, ToolCall,
    ToolChoice, ToolSpec,
};

use crate::support::hello_events;

fn full() -> Request {
    Request::new("m1")
        .system("Be brief.")
        .message(Message::new(
            Role::User,
            [
                "What?".into(),
                Part::Image(Image::url("https://h/i.png").with_detail("low")),
                Part::Image(Image::base64("image/png", "AAAA")),
            ],
        ))
        .message(Message::new(Role::Assistant, []).with_tool_calls([ToolCall::new("c1", "look", "{}")]))
        .message(Message::tool("c1", "a crab").with_name("look"))
        .tool(ToolSpec::new("look", json!({"type": "object", "a": 1})).with_strict(true))
        .tool_choice(ToolChoice::Tool("look".into()))
        .parallel_tool_calls(false)
        .max_output_tokens(9)
        .temperature(0.1)
        .top_p(0.5)
        .stop("END")
        .seed(-3)
        .response_format(ResponseFormat::JsonSchema {
            name: "s".into(),
            schema: json!({"type": "object"}),
            strict: true,
        })
        .reasoning_effort("low")
        .extra("top_k", 40)
        .extra("z", json!({"b": 1, "a": 2}))
}

#[test]
fn a_request_survives_json() {
    let value = serde_json::to_value(full()).unwrap();
    assert_eq!(value["messages"][1]["content"][0], json!({"text": "What?"}));
    assert_eq!(value["tool_choice"], json!({"tool": "look"}));
    let mut with_more = value.clone();
    with_more["later"] = json!(1);
    with_more["messages"][0]["later"] = json!([1]);
    for value in [value, with_more] {
        let read: Request = serde_json::from_value(value).unwrap();
        assert_eq!(read, full());
        assert_eq!(read.fingerprint(), full().fingerprint());
    }
    let small: Request = serde_json::from_value(json!({"model": "m", "messages": []})).unwrap();
    assert_eq!(small, Request::new("m"));
    assert_eq!(
        serde_json::to_value(small).unwrap(),
        json!({"model": "m", "messages": []})
    );
}

#[test]
fn events_survive_json() {
    let events = hello_events();
    let text = serde_json::to_string(&events).unwrap();
    assert_eq!(serde_json::from_str::<Vec<StreamEvent>>(&text).unwrap(), events);
    let value = |event: &StreamEvent| serde_json::to_value(event).unwrap();
    assert_eq!(value(&events[0]), json!("keep_alive"));
    assert_eq!(value(&events[5]), json!({"text_delta": "Hel"}));
    assert_eq!(value(&events[13])["finished"]["finish"], json!("odd"));
    let finish: FinishReason = serde_json::from_value(json!("end_turn")).unwrap();
    assert_eq!(finish, FinishReason::Stop);
    let later = json!({"started": {"id": "c", "later": 1}});
    assert!(serde_json::from_value::<StreamEvent>(later).is_ok());
}

/// The two fingerprints are fixed: a change here breaks every cache and every recording.
#[test]
fn fingerprints_are_stable() {
    let small = Request::new("m1").user("Say hello.").fingerprint();
    // sha256 of `{"messages":[{"content":[{"text":"Say hello."}],"role":"user"}],"model":"m1"}`.
    assert_eq!(small.to_string(), SMALL);
    assert_eq!(full().fingerprint().to_string(), FULL);
    assert_eq!(SMALL.parse::<Fingerprint>().unwrap(), small);
    assert_eq!(format!("{small:?}"), format!("Fingerprint({SMALL})"));
    let value = serde_json::to_value(small).unwrap();
    assert_eq!(value, json!(SMALL));
    assert_eq!(serde_json::from_value::<Fingerprint>(value).unwrap(), small);
    for bad in ["", "abc", &format!("+{}", &SMALL[1..]), &"é".repeat(32)] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

const SMALL: &str = "ce7f12e6223809f1b274b70469b10ff6a5e490697b62ff938bafa72a5030adb7";
const FULL: &str = "73e37eeddf99d981682dff327364136b439e551056be02b86d182e468c8bd75c";

#[test]
fn every_member_counts_and_the_order_of_members_does_not() {
    let changes: [fn(Request) -> Request; 14] = [
        |r| r.user("more"),
        |r| r.tool(ToolSpec::new("t", json!({}))),
        |r| r.tool_choice(ToolChoice::None),
        |r| r.parallel_tool_calls(true),
        |r| r.max_output_tokens(10),
        |r| r.temperature(0.2),
        |r| r.top_p(0.6),
        |r| r.stop("X"),
        |r| r.seed(4),
        |r| r.response_format(ResponseFormat::Text),
        |r| r.reasoning_effort("high"),
        |r| r.extra("top_k", 41),
        |r| r.extra("y", Value::Null),
        |r| r.message(Message::user("x").with_name("n")),
    ];
    let mut seen = std::collections::HashSet::from([full().fingerprint()]);
    for (idx, change) in changes.into_iter().enumerate() {
        assert!(seen.insert(change(full()).fingerprint()), "change {idx}");
    }
    let nested = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        Request::new("m").extra("x", value).fingerprint()
    };
    assert_eq!(
        nested(r#"{"b":[{"d":1,"c":2}],"a":"\u00e9\""}"#),
        nested(r#"{"a":"é\"","b":[{"c":2,"d":1}]}"#)
    );
    assert_ne!(nested("[1,2]"), nested("[2,1]"));
    assert_ne!(nested("1"), nested("1.0"));
}
