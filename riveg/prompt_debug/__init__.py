"""What a prompt makes of posts: messages, answers, and what another wording would change."""
