"""What Rain's processes send each other, as pure code: messages, their encoding, frames, channels."""
