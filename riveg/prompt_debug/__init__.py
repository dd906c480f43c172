"""What a prompt makes of samples: messages, answers, and what another wording would change."""
