"""Fine-tuning of a vision-language model with LoRA, for the stages that ask one."""
