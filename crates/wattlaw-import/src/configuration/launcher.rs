//! Arguments of the programs that start a process a GPU: torchrun and `accelerate launch`.

use wattlaw::base::error::Result;

use super::reader::Reader;

/// States GPUs and nodes.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<()> {
    let processes = first(reader, ["nproc_per_node", "nproc-per-node"])?;
    let nodes = first(reader, ["nnodes", "num-nodes"])?;
    if let Some((per_node, key)) = processes {
        reader.state("gpus_per_node", per_node, key);
        if let Some((nodes, _)) = nodes {
            reader.state("gpus", per_node.saturating_mul(nodes), key);
        }
    }
    for (name, column) in [("num_processes", "gpus"), ("num_machines", "nodes")] {
        if let Some((number, key)) = first(reader, [name, name])? {
            reader.state(column, number, key);
        }
    }
    if let Some(file) = reader.text("config_file")? {
        reader.refers("config_file", &file);
    }
    Ok(())
}

/// The first word of one of two keys as a number; an elastic range of nodes, `1:4`, is none.
fn first(reader: &mut Reader<'_>, names: [&'static str; 2]) -> Result<Option<(u64, &'static str)>> {
    for name in names {
        let word = reader.words(name)?.into_iter().next();
        if let Some(number) = word.and_then(|text| text.parse().ok()) {
            return Ok(Some((number, name)));
        }
    }
    Ok(None)
}
