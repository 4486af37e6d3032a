//! The tool calls among the items of a response, and which of them an event means.

/// A tool call of the response.
#[derive(Debug)]
pub(super) struct CallItem {
    /// Under which number the common code knows it.
    pub(super) key: u64,
    pub(super) output_index: Option<u64>,
    pub(super) item_id: Option<String>,
    pub(super) call_id: Option<String>,
    /// Its input is text, not JSON.
    pub(super) custom: bool,
    /// The arguments that came with its first event, if no others come.
    pub(super) input: Option<String>,
}

/// What an event or an item says of the call that it means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    pub(super) output_index: Option<u64>,
    pub(super) item_id: Option<&'a str>,
    pub(super) call_id: Option<&'a str>,
}

/// The tool calls of a response.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<CallItem>);

impl Items {
    pub(super) fn calls(&self) -> &[CallItem] {
        &self.0
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut CallItem> {
        self.0.get_mut(at)
    }

    /// Adds a call and returns where it is.
    pub(super) fn add(&mut self, place: Place<'_>, custom: bool) -> usize {
        self.0.push(CallItem {
            key: self.0.len() as u64,
            output_index: place.output_index,
            item_id: place.item_id.map(str::to_owned),
            call_id: place.call_id.map(str::to_owned),
            custom,
            input: None,
        });
        self.0.len() - 1
    }

    /// Finds the call that is meant. Gateways leave indices out or change the ids of items between two events, so the
    /// call that most of what is said fits is taken, and the newest of several; another id of the call is another call.
    pub(super) fn find(&self, place: Place<'_>) -> Option<usize> {
        let fit = |call: &CallItem| {
            let same =
                |given: Option<&str>, known: &Option<String>| given.is_some() && given == known.as_deref();
            if place.call_id.is_some() && call.call_id.is_some() && !same(place.call_id, &call.call_id) {
                return None;
            }
            let index = place.output_index.is_some() && place.output_index == call.output_index;
            let fit = 4 * u8::from(same(place.call_id, &call.call_id))
                + 2 * u8::from(same(place.item_id, &call.item_id))
                + u8::from(index);
            let unsaid = place.output_index.is_none() && place.item_id.is_none() && place.call_id.is_none();
            (fit > 0 || unsaid).then_some(fit)
        };
        let fits = self.0.iter().enumerate();
        fits.filter_map(|(at, call)| Some((fit(call)?, at)))
            .max()
            .map(|(_, at)| at)
    }
}
