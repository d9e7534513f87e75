//! The table as a picture: two panels of bars, each to its own scale, readable in light and in dark.

use super::{Figures, Item, best_pgbench, rate};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 230.0;
const BAR: f64 = 20.0;
const ROW: f64 = 28.0;
const HEAD: f64 = 44.0;

/// The SVG.
pub fn svg(rows: &[(Item, Figures)]) -> String {
    let bare = rate(rows, |item| *item == Item::Bare);
    let best = best_pgbench(rows);
    let floor = |item: &Item| matches!(item, Item::Pgbench { .. });
    let panels = [
        (
            "SQLite, beside a handler that only parses and answers",
            bare,
            "of bare",
            panel(rows, |item| *item == Item::Bare || item.is_on("sqlite")),
        ),
        (
            "PostgreSQL, beside pgbench (TPC-B) on the same server",
            best,
            "x pgbench",
            panel(rows, |item| floor(item) || item.is_on("postgres")),
        ),
    ];
    let mut body = String::new();
    let mut top = 0.0;
    for (title, floor, unit, rows) in panels {
        body += &format!("<text class=\"title\" x=\"0\" y=\"{:.0}\">{title}</text>\n", top + 24.0);
        top += HEAD;
        let most = rows.iter().map(|(_, figures)| figures.per_second).fold(1.0, f64::max);
        for (item, figures) in rows {
            let length = (figures.per_second / most * (WIDTH - LABELS - 170.0)).max(1.0);
            let (class, middle) = (class(item), top + 15.0);
            let ratio = if floor > 0.0 { figures.per_second / floor } else { 0.0 };
            body += &format!(
                "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{LABELS:.0}\" y=\"{top:.0}\" width=\"{length:.0}\" height=\"{BAR:.0}\" rx=\"3\"/>\
                 <text class=\"figure\" x=\"{:.0}\" y=\"{middle:.0}\">{:.0}/s, {ratio:.2} {unit}</text>\n",
                LABELS - 10.0,
                item.name(),
                LABELS + length + 8.0,
                figures.per_second,
            );
            top += ROW;
        }
        top += 12.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {top:.0}\" role=\"img\" \
         aria-label=\"Payouts a second on SQLite and on PostgreSQL, beside a bare handler and pgbench\">\n<style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #24292f }}\n.title {{ font-size: 15px; font-weight: 600 }}\n\
         .figure {{ font-variant-numeric: tabular-nums }}\n.floor {{ fill: #8c959f }}\n.accept {{ fill: #1f883d }}\n\
         .payout {{ fill: #0969da }}\n@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} \
         .floor {{ fill: #6e7681 }} .accept {{ fill: #3fb950 }} .payout {{ fill: #58a6ff }} }}\n</style>\n{body}</svg>\n"
    )
}

fn panel(rows: &[(Item, Figures)], wanted: impl Fn(&Item) -> bool) -> Vec<&(Item, Figures)> {
    rows.iter().filter(|(item, _)| wanted(item)).collect()
}

fn class(item: &Item) -> &'static str {
    match item {
        Item::Bare | Item::Pgbench { .. } => "floor",
        Item::Hundi { mode, .. } => mode,
    }
}
