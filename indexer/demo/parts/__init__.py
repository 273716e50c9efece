"""What a drawing is put together from. Each module draws one kind of thing onto a `parts.stage.Stage`."""
