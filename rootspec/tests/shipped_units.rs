//! The units we ship are without fault: whoever copies one must not copy an error.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rootspec::compile::{Enabled, Source, compile};

    fn shipped() -> (Vec<Source>, Vec<Enabled>) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services");
        let mut sources = Vec::new();
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "toml") {
                let name = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source {
                    name,
                    file: path.display().to_string(),
                    text,
                });
            }
        }
        let mut enabled = Vec::new();
        for group in fs::read_dir(dir.join("groups")).unwrap() {
            let group = group.unwrap();
            let name = group.file_name().into_string().unwrap();
            for unit in fs::read_dir(group.path()).unwrap() {
                let unit = unit.unwrap().file_name().into_string().unwrap();
                let group = name.strip_suffix(".d").unwrap().parse().unwrap();
                enabled.push(Enabled {
                    group,
                    unit: unit.parse().unwrap(),
                    file: unit,
                });
            }
        }
        (sources, enabled)
    }

    #[test]
    fn every_shipped_unit_is_accepted_and_every_enabled_one_exists() {
        let (sources, enabled) = shipped();
        let plan = compile(&sources, &enabled);
        assert_eq!(plan.problems, Vec::<String>::new());
        let units = sources.iter().filter(|source| !source.name.is_template());
        assert_eq!(plan.units.len(), units.count());
        for link in enabled {
            assert!(
                plan.find(link.unit.as_str()).is_some(),
                "{} is enabled and missing",
                link.unit
            );
        }
    }

    #[test]
    fn every_shipped_unit_has_a_description_and_a_comment() {
        for source in shipped().0 {
            assert!(
                source.text.starts_with("# "),
                "{} does not begin with a comment",
                source.file
            );
            assert!(
                source.text.contains("\ndescription = "),
                "{} has no description",
                source.file
            );
        }
    }
}
