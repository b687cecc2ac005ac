output "vpc_id" {
  value       = aws_vpc.this.id
  description = "The network."
}

output "node_subnet_ids" {
  value       = aws_subnet.nodes[*].id
  description = "Where nodes and pods are, one a zone."
}

output "data_subnet_ids" {
  value       = aws_subnet.data[*].id
  description = "Where databases are, one a zone."
}

output "node_route_table_ids" {
  value       = aws_route_table.nodes[*].id
  description = "To add routes to: the company's network, or its way out."
}

# for the chart's network.* values
output "cidrs" {
  description = "Addresses of nodes, databases and endpoints, for the chart's network policies."
  value = {
    nodes     = aws_subnet.nodes[*].cidr_block
    data      = aws_subnet.data[*].cidr_block
    endpoints = aws_subnet.endpoints[*].cidr_block
  }
}
