//! How deep objects are nested, before they are read by code that goes down the stack once for each level.
//!
//! A server could send an object that is nothing but levels, and end the process with it. Few types can hold
//! themselves: an object in which few of them are is shallow, whatever it says. Any other is walked through first, by
//! code that counts.

use std::sync::LazyLock;

use grammers_tl_types::{Identifiable as _, types};
use heliogram_tl::dynamic::{Catalog, Shape};
use heliogram_tl::schema::{Declaration, Type};
use heliogram_tl::{Error, Reader, peek_id};

use crate::limits::LEVELS_MAX;

/// Tells whether an object may be read: one of the schema's, or a vector of such, that is nested no deeper than
/// [`LEVELS_MAX`].
pub(crate) fn is_shallow(object: &[u8]) -> bool {
    // Parts of files are large, and hold nothing.
    if peek_id(object) == Some(types::upload::File::CONSTRUCTOR_ID) {
        return true;
    }
    // Everything begins at a whole word.
    let (words, _) = object.as_chunks();
    let nests = |word: &&[u8; 4]| holds_itself(u32::from_le_bytes(**word));
    words.iter().filter(nests).nth(LEVELS_MAX).is_none() || walk(object).is_ok()
}

fn walk(object: &[u8]) -> Result<(), Error> {
    let mut walk = Walk {
        levels_left: LEVELS_MAX,
    };
    let mut r = Reader::new(object);
    if r.peek_id() != Some(VECTOR) {
        return walk.boxed(&mut r);
    }
    r.u32()?;
    let count = r.u32()?;
    (0..count).try_for_each(|_| walk.boxed(&mut r))
}

/// A way through an object.
struct Walk {
    levels_left: usize,
}

impl Walk {
    fn boxed(&mut self, r: &mut Reader<'_>) -> Result<(), Error> {
        let id = r.u32()?;
        let declaration = LAYER.by_id(id).ok_or(Error::UnexpectedId { id })?;
        self.fields(r, declaration)
    }

    fn fields(&mut self, r: &mut Reader<'_>, of: &Declaration<'_>) -> Result<(), Error> {
        self.levels_left = self.levels_left.checked_sub(1).ok_or(Error::TooDeep)?;
        let mut words = Vec::new();
        for field in &of.fields {
            let is_there = field.condition.is_none_or(|it| {
                let word = words.iter().find(|(name, _)| *name == it.flags);
                word.is_some_and(|(_, word): &(_, u32)| word >> it.bit & 1 == 1)
            });
            if Shape::of(field.ty) == Shape::Flags {
                words.push((field.name, r.u32()?));
            } else if is_there {
                self.value(r, field.ty)?;
            }
        }
        self.levels_left += 1;
        Ok(())
    }

    fn value(&mut self, r: &mut Reader<'_>, ty: Type<'_>) -> Result<(), Error> {
        match Shape::of(ty) {
            Shape::Any | Shape::Boxed(_) => self.boxed(r)?,
            Shape::Bare(name) => {
                let declaration = LAYER.bare(name).ok_or(Error::UnexpectedId { id: 0 })?;
                self.fields(r, declaration)?;
            }
            Shape::Bool | Shape::Flags | Shape::Int => drop(r.take(4)?),
            Shape::Bytes | Shape::String => drop(r.bytes()?),
            Shape::Double | Shape::Long => drop(r.take(8)?),
            Shape::Int128 => drop(r.take(16)?),
            Shape::Int256 => drop(r.take(32)?),
            Shape::True => {}
            Shape::Vector { element, boxed } => {
                if boxed {
                    r.expect_id(VECTOR)?;
                }
                let count = r.u32()?;
                for _ in 0..count {
                    self.value(r, element)?;
                }
            }
        }
        Ok(())
    }
}

/// Tells whether a constructor can hold, at whatever distance, another of its own type.
const fn holds_itself(id: u32) -> bool {
    matches!(
        id,
        types::InputPeerUserFromMessage::CONSTRUCTOR_ID
            | types::InputPeerChannelFromMessage::CONSTRUCTOR_ID
            | types::InputMediaInvoice::CONSTRUCTOR_ID
            | types::InputMediaPaidMedia::CONSTRUCTOR_ID
            | types::MessageMediaWebPage::CONSTRUCTOR_ID
            | types::MessageMediaInvoice::CONSTRUCTOR_ID
            | types::MessageMediaStory::CONSTRUCTOR_ID
            | types::MessageMediaPaidMedia::CONSTRUCTOR_ID
            | types::WebPage::CONSTRUCTOR_ID
            | types::TextBold::CONSTRUCTOR_ID
            | types::TextItalic::CONSTRUCTOR_ID
            | types::TextUnderline::CONSTRUCTOR_ID
            | types::TextStrike::CONSTRUCTOR_ID
            | types::TextFixed::CONSTRUCTOR_ID
            | types::TextUrl::CONSTRUCTOR_ID
            | types::TextEmail::CONSTRUCTOR_ID
            | types::TextConcat::CONSTRUCTOR_ID
            | types::TextSubscript::CONSTRUCTOR_ID
            | types::TextSuperscript::CONSTRUCTOR_ID
            | types::TextMarked::CONSTRUCTOR_ID
            | types::TextPhone::CONSTRUCTOR_ID
            | types::TextAnchor::CONSTRUCTOR_ID
            | types::PageBlockList::CONSTRUCTOR_ID
            | types::PageBlockCover::CONSTRUCTOR_ID
            | types::PageBlockEmbedPost::CONSTRUCTOR_ID
            | types::PageBlockCollage::CONSTRUCTOR_ID
            | types::PageBlockSlideshow::CONSTRUCTOR_ID
            | types::PageBlockOrderedList::CONSTRUCTOR_ID
            | types::PageBlockDetails::CONSTRUCTOR_ID
            | types::SecureRequiredTypeOneOf::CONSTRUCTOR_ID
            | types::JsonObjectValue::CONSTRUCTOR_ID
            | types::JsonArray::CONSTRUCTOR_ID
            | types::JsonObject::CONSTRUCTOR_ID
            | types::PageListItemBlocks::CONSTRUCTOR_ID
            | types::PageListOrderedItemBlocks::CONSTRUCTOR_ID
            | types::WebPageAttributeStory::CONSTRUCTOR_ID
            | types::MessageExtendedMedia::CONSTRUCTOR_ID
            | types::StoryItem::CONSTRUCTOR_ID
    )
}

/// Made when the first object needs it: few do.
static LAYER: LazyLock<Catalog<'static>> = LazyLock::new(Catalog::of_layer);

/// The id of a boxed vector.
const VECTOR: u32 = 0x1cb5_c415;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use grammers_tl_types::{Deserializable as _, Serializable as _, enums};
    use heliogram_testkit::backend::things;
    use heliogram_tl::schema::Role;

    use super::*;

    #[test]
    fn every_constructor_that_can_hold_its_own_type_is_known() {
        let constructors = || {
            LAYER
                .constructors()
                .filter(|it| it.role == Role::Constructor)
        };
        let mut holds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for it in constructors() {
            holds.entry(it.result.text()).or_default().extend(held(it));
        }
        let reach = |from: &BTreeSet<&'static str>| {
            let (mut seen, mut left) = (BTreeSet::new(), Vec::from_iter(from.iter().copied()));
            while let Some(ty) = left.pop() {
                if seen.insert(ty) {
                    left.extend(holds.get(ty).into_iter().flatten());
                }
            }
            seen
        };
        let mut found = 0;
        for it in constructors() {
            let own = held(it).collect();
            let is_cyclic = reach(&own).contains(it.result.text());
            assert_eq!(holds_itself(it.id.unwrap()), is_cyclic, "{}", it.name);
            found += usize::from(is_cyclic);
        }
        assert_eq!(found, COUNT);
    }

    #[test]
    fn as_many_levels_as_may_be_are_read_on_a_small_stack_and_one_more_is_refused() {
        let mut text = bold(LEVELS_MAX - 1);
        assert!(is_shallow(&text));
        text.extend([0; 4 * LEVELS_MAX]);
        assert!(is_shallow(&text), "what follows is not looked at");
        assert!(!is_shallow(&bold(LEVELS_MAX + 1)));
        assert!(!is_shallow(&bold(1_000_000)));
        let read = std::thread::Builder::new().stack_size(1 << 20);
        let read = read.spawn(move || enums::RichText::from_bytes(&text).is_ok());
        assert!(read.unwrap().join().unwrap());
    }

    #[test]
    fn the_largest_of_objects_that_hold_themselves_are_read_on_the_stack_of_a_worker() {
        let mut media = enums::MessageMedia::Empty;
        for _ in 0..LEVELS_MAX / 2 {
            let inner = types::MessageExtendedMedia { media };
            media = types::MessageMediaPaidMedia {
                stars_amount: 1,
                extended_media: vec![inner.into()],
            }
            .into();
        }
        let message = types::Message {
            media: Some(media),
            ..things::message(1, 7, &things::person(7), "deep")
        };
        let object = enums::Message::from(message).to_bytes();
        assert!(is_shallow(&object));
        let read = std::thread::Builder::new().stack_size(2 << 20);
        let read = read.spawn(move || enums::Message::from_bytes(&object).is_ok());
        assert!(read.unwrap().join().unwrap());
    }

    #[test]
    fn levels_of_stories_within_stories_are_counted_too() {
        let story = |levels: usize| {
            let head = types::MessageMediaStory::CONSTRUCTOR_ID;
            (0..levels)
                .flat_map(move |_| head.to_bytes())
                .collect::<Vec<_>>()
        };
        assert!(is_shallow(&story(LEVELS_MAX)));
        assert!(!is_shallow(&story(LEVELS_MAX + 1)), "in no known form");
    }

    #[test]
    fn many_shallow_objects_beside_each_other_are_shallow() {
        let texts: Vec<_> = (0..500).map(|_| bold(3)).collect();
        let count = 500_u32.to_bytes();
        let concat = types::TextConcat::CONSTRUCTOR_ID.to_bytes();
        let mut object = [concat, VECTOR.to_bytes(), count.clone(), texts.concat()].concat();
        assert!(is_shallow(&object));
        let vector = [VECTOR.to_bytes(), count, texts.concat()].concat();
        assert!(is_shallow(&vector));
        object.truncate(object.len() - 4);
        assert!(!is_shallow(&object), "cut short");
    }

    fn held(of: &Declaration<'static>) -> impl Iterator<Item = &'static str> {
        of.fields.iter().map(|it| {
            if let Shape::Vector { element, .. } = Shape::of(it.ty) {
                element.text()
            } else {
                it.ty.text()
            }
        })
    }

    /// Text within so many others.
    fn bold(levels: usize) -> Vec<u8> {
        let head = types::TextBold::CONSTRUCTOR_ID;
        let mut text: Vec<_> = (0..levels).flat_map(|_| head.to_bytes()).collect();
        enums::RichText::TextEmpty.serialize(&mut text);
        text
    }

    const COUNT: usize = 38;
}
