"""What runs beside the engine on the cluster's own nodes."""
