"""What makes a job start quickly: the process that workers are forked from, kernels compiled beforehand."""
