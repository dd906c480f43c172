"""What a prompt makes of samples: messages, answers, and what another prompt would change."""
