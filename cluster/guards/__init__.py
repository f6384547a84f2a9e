"""What a submission may not change or inspect: detected, stopped or reported."""
