# The network of one region: nodes and pods in private subnets, databases in subnets of their own, AWS reached through
# endpoints inside it. The way to the internet, for Git, identity provider and ServiceNow, is NAT gateways, or the
# company's own (nat = false, with routes to it added to the route tables that this module gives out).
locals {
  count = length(var.zones)
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# Whoever names no group gets this one: it lets nothing in and nothing out.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "nodes" {
  count                   = local.count
  vpc_id                  = aws_vpc.this.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.cidr, 3, count.index)
  map_public_ip_on_launch = false

  tags = {
    Name                              = "${var.name}-nodes-${var.zones[count.index]}"
    "karpenter.sh/discovery"          = var.cluster_name
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_subnet" "data" {
  count                   = local.count
  vpc_id                  = aws_vpc.this.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.cidr, 8, 128 + count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-data-${var.zones[count.index]}" }
}

resource "aws_subnet" "endpoints" {
  count                   = local.count
  vpc_id                  = aws_vpc.this.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.cidr, 8, 132 + count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-endpoints-${var.zones[count.index]}" }
}

# Nothing runs here but the NAT gateways, and nothing gets a public address by being here.
resource "aws_subnet" "nat" {
  count                   = var.nat ? local.count : 0
  vpc_id                  = aws_vpc.this.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.cidr, 8, 136 + count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-nat-${var.zones[count.index]}" }
}

resource "aws_internet_gateway" "this" {
  count  = var.nat ? 1 : 0
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_eip" "nat" {
  count  = var.nat ? local.count : 0
  domain = "vpc"
  tags   = { Name = "${var.name}-nat-${var.zones[count.index]}" }
}

resource "aws_nat_gateway" "this" {
  count         = var.nat ? local.count : 0
  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.nat[count.index].id
  tags          = { Name = "${var.name}-${var.zones[count.index]}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "nat" {
  count  = var.nat ? 1 : 0
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-nat" }
}

resource "aws_route" "internet" {
  count                  = var.nat ? 1 : 0
  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "nat" {
  count          = var.nat ? local.count : 0
  subnet_id      = aws_subnet.nat[count.index].id
  route_table_id = aws_route_table.nat[0].id
}

# One a zone: a zone that fails takes no other zone's way out along.
resource "aws_route_table" "nodes" {
  count  = local.count
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-nodes-${var.zones[count.index]}" }
}

resource "aws_route" "out" {
  count                  = var.nat ? local.count : 0
  route_table_id         = aws_route_table.nodes[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[count.index].id
}

resource "aws_route_table_association" "nodes" {
  count          = local.count
  subnet_id      = aws_subnet.nodes[count.index].id
  route_table_id = aws_route_table.nodes[count.index].id
}

# Databases and endpoints have no way out at all.
resource "aws_route_table" "inside" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-inside" }
}

resource "aws_route_table_association" "data" {
  count          = local.count
  subnet_id      = aws_subnet.data[count.index].id
  route_table_id = aws_route_table.inside.id
}

resource "aws_route_table_association" "endpoints" {
  count          = local.count
  subnet_id      = aws_subnet.endpoints[count.index].id
  route_table_id = aws_route_table.inside.id
}
