//! `rootctl boot chart`: the picture, in SVG 1.1 without anything from outside.

use rootspec::protocol::init::UnitTimes;

use super::{Story, ms};

/// Pixels: where bars begin, how long the time axis is, the height of a line, and space around.
const LEFT: u64 = 220;
const AXIS: u64 = 960;
const ROW: u64 = 18;
const EDGE: u64 = 24;
/// Lines of the grid, about.
const LINES: u64 = 10;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.time{font-size:10px;fill:#777}.chain{font-weight:bold}\
    line{stroke:#ddd}.wait{fill:#d8dee9}.start{fill:#5e81ac}.stage{fill:#88a2b8}.bad{fill:#bf4b56}\
    .run{fill:#a3be8c}rect.chain{stroke:#222}";

/// One line of the picture: its name, and bars from and to a time, each with its class and what it means.
struct Line<'a> {
    name: &'a str,
    in_chain: bool,
    bars: Vec<(u64, u64, &'static str, &'static str)>,
}

/// The boot as a picture.
pub(super) fn svg(story: &Story) -> String {
    let lines = lines(story);
    let (origin, end) = (story.origin(), end(story));
    let scale = Scale {
        origin,
        span: end.saturating_sub(origin).max(1),
    };
    let height = ROW * lines.len() as u64 + 2 * EDGE;
    let width = LEFT + AXIS + EDGE;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    grid(&mut picture, &scale, height);
    for (y, line) in (0..).map(|row| EDGE + ROW * row).zip(&lines) {
        draw(&mut picture, &scale, y, line);
    }
    picture.push_str("</svg>\n");
    picture
}

/// The last time there is to show.
fn end(story: &Story) -> u64 {
    let units = story.times.units.iter();
    let ends = units.map(|unit| unit.settled_ms.or(unit.began_ms).unwrap_or(unit.wanted_ms));
    ends.chain([story.times.began_ms])
        .chain(story.times.through_ms)
        .max()
        .unwrap_or_default()
}

fn lines(story: &Story) -> Vec<Line<'_>> {
    let stage = |name, from, to| Line {
        name,
        in_chain: false,
        bars: vec![(from, to, "stage", "took")],
    };
    let mut lines = Vec::new();
    if let Some(times) = &story.stage {
        lines.extend([
            stage("kernel", 0, times.started_ms),
            stage("boot stage: root device", times.started_ms, times.found_ms),
            stage("boot stage: root", times.found_ms, times.assembled_ms),
        ]);
    }
    let mut units: Vec<&UnitTimes> = story.times.units.iter().collect();
    if let Some(first) = units.iter().map(|unit| unit.wanted_ms).min() {
        lines.push(stage(
            "rinit: itself and the units",
            story.times.began_ms,
            first,
        ));
    }
    let end = end(story);
    units.sort_by_key(|unit| (unit.began_ms.unwrap_or(u64::MAX), unit.settled_ms));
    lines.extend(units.into_iter().map(|unit| {
        let settled = unit.settled_ms.unwrap_or(end);
        let began = unit.began_ms.unwrap_or(settled);
        let start = if matches!(&*unit.outcome, "failed" | "backoff") {
            "bad"
        } else {
            "start"
        };
        let mut bars = vec![
            (unit.wanted_ms, began, "wait", "waited"),
            (began, settled, start, "started in"),
        ];
        if unit.outcome == "up" {
            bars.push((settled, end, "run", "up for"));
        }
        Line {
            name: &unit.name,
            in_chain: story.chain.contains(&unit.name),
            bars,
        }
    }));
    lines
}

struct Scale {
    origin: u64,
    span: u64,
}

impl Scale {
    fn x(&self, time: u64) -> u64 {
        LEFT + time.saturating_sub(self.origin).min(self.span) * AXIS / self.span
    }

    /// A round number of milliseconds between two lines of the grid: 1, 2 or 5 and zeros.
    fn step(&self) -> u64 {
        let wanted = self.span.div_ceil(LINES);
        let tens = (0..).map(|power| 10_u64.saturating_pow(power));
        let steps = tens.flat_map(|ten| [1, 2, 5].map(|digit| ten.saturating_mul(digit)));
        steps
            .into_iter()
            .find(|step| *step >= wanted)
            .unwrap_or(wanted)
    }
}

fn grid(picture: &mut String, scale: &Scale, height: u64) {
    let step = scale.step();
    for time in (0..=scale.span / step).map(|line| line * step) {
        let x = scale.x(scale.origin + time);
        let bottom = height - EDGE / 2;
        add(
            picture,
            format_args!("<line x1=\"{x}\" y1=\"{EDGE}\" x2=\"{x}\" y2=\"{bottom}\"/>"),
        );
        let time = ms(time);
        add(
            picture,
            format_args!("<text class=\"time\" x=\"{x}\" y=\"16\">{time}</text>"),
        );
    }
}

fn draw(picture: &mut String, scale: &Scale, y: u64, line: &Line<'_>) {
    let (name, class) = (escape(line.name), if line.in_chain { "chain" } else { "" });
    let (text, bar) = (y + ROW - 5, ROW - 4);
    add(
        picture,
        format_args!("<text class=\"{class}\" x=\"8\" y=\"{text}\">{name}</text>"),
    );
    for (from, to, kind, words) in &line.bars {
        let x = scale.x(*from);
        // What is shorter than a pixel is there all the same.
        let width = scale.x(*to).saturating_sub(x).max(u64::from(to > from));
        let took = ms(to.saturating_sub(*from));
        add(
            picture,
            format_args!(
                "<rect class=\"{kind} {class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{bar}\">\
                 <title>{name} {words} {took}</title></rect>"
            ),
        );
    }
}

fn add(picture: &mut String, element: std::fmt::Arguments<'_>) {
    picture.push_str(&element.to_string());
    picture.push('\n');
}

/// Text as XML wants it; control characters, which XML 1.0 cannot hold, become question marks.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            sign if sign.is_control() => safe.push('?'),
            sign => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value of an attribute in each rectangle of one class that belongs to a unit.
    fn bars(picture: &str, unit: &str, attribute: &str) -> Vec<u64> {
        let title = format!("<title>{unit} ");
        let rects = picture.lines().filter(|line| line.contains(&title));
        let value = |line: &str| {
            line.split(&format!(" {attribute}=\""))
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        };
        rects.filter_map(value).collect()
    }

    #[test]
    fn bars_stand_where_their_times_say() {
        let picture = svg(&super::super::sample());
        // 3,500 ms are 960 pixels: net was wanted at 1,000, began at 2,900, was up at 3,100.
        assert_eq!(
            bars(&picture, "net", "x"),
            [220 + 274, 220 + 795, 220 + 850]
        );
        assert_eq!(bars(&picture, "net", "width"), [521, 55, 110]);
        assert_eq!(bars(&picture, "boot stage: root device", "x"), [220 + 109]);
        assert_eq!(picture.matches("<text class=\"chain\"").count(), 3);
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let mut story = super::super::sample();
        for unit in &mut story.times.units {
            unit.name = "<script>\"&\u{1b}".to_owned();
        }
        let picture = svg(&story);
        assert!(picture.contains("&lt;script&gt;&quot;&amp;?"));
        assert!(!picture.contains("<script>") && !picture.contains('\u{1b}'));
    }

    #[test]
    fn an_empty_boot_is_a_picture_too() {
        let mut story = super::super::sample();
        (story.stage, story.times.through_ms) = (None, None);
        story.times.units.clear();
        assert!(svg(&story).ends_with("</svg>\n"));
    }

    #[test]
    fn the_grid_has_round_times() {
        for (span, step) in [
            (1, 1),
            (34, 5),
            (3500, 500),
            (99_000, 10_000),
            (u64::MAX, 2_000_000_000_000_000_000),
        ] {
            assert_eq!(Scale { origin: 0, span }.step(), step, "{span}");
        }
    }
}
