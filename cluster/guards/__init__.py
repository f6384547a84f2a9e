"""What a submission may not change or look at: met in the trial's own process, ended or told."""
