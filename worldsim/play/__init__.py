"""A played session: actions in, frames out, recorded, replayed, rewound."""
