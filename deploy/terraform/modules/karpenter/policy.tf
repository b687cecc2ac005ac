# What its controller may do, as Karpenter 1.14 asks for it: start machines with the cluster's tag, and change or end
# only those that carry it.
locals {
  ec2   = "arn:aws:ec2:${var.region}"
  owned = "kubernetes.io/cluster/${var.cluster_name}"
  made = [
    for kind in ["fleet", "instance", "launch-template", "network-interface", "spot-instances-request", "volume"] :
    "${local.ec2}:*:${kind}/*"
  ]
  new = {
    StringEquals = { "aws:RequestTag/${local.owned}" = "owned", "aws:RequestTag/eks:eks-cluster-name" = var.cluster_name }
    StringLike   = { "aws:RequestTag/karpenter.sh/nodepool" = "*" }
  }
  own = {
    StringEquals = { "aws:ResourceTag/${local.owned}" = "owned" }
    StringLike   = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" }
  }
  profiles = "arn:aws:iam::${var.account_id}:instance-profile/*"
  new_profile = {
    StringEquals = {
      "aws:RequestTag/${local.owned}"                = "owned"
      "aws:RequestTag/eks:eks-cluster-name"          = var.cluster_name
      "aws:RequestTag/topology.kubernetes.io/region" = var.region
    }
    StringLike = { "aws:RequestTag/karpenter.k8s.aws/ec2nodeclass" = "*" }
  }
  own_profile = {
    StringEquals = {
      "aws:ResourceTag/${local.owned}"                = "owned"
      "aws:ResourceTag/topology.kubernetes.io/region" = var.region
    }
    StringLike = { "aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass" = "*" }
  }

  statements = [
    {
      Sid    = "StartsFromWhatIsThere"
      Effect = "Allow"
      Action = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource = [
        "${local.ec2}::image/*", "${local.ec2}::snapshot/*", "${local.ec2}:*:capacity-reservation/*",
        "${local.ec2}:*:security-group/*", "${local.ec2}:*:subnet/*",
      ]
    },
    {
      Sid       = "StartsFromItsOwnTemplates"
      Effect    = "Allow"
      Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource  = ["${local.ec2}:*:launch-template/*"]
      Condition = local.own
    },
    {
      Sid       = "StartsWhatCarriesItsTags"
      Effect    = "Allow"
      Action    = ["ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"]
      Resource  = local.made
      Condition = local.new
    },
    {
      Sid      = "TagsWhatItStarts"
      Effect   = "Allow"
      Action   = ["ec2:CreateTags"]
      Resource = local.made
      Condition = {
        StringEquals = merge(local.new.StringEquals, { "ec2:CreateAction" = ["CreateFleet", "CreateLaunchTemplate", "RunInstances"] })
        StringLike   = local.new.StringLike
      }
    },
    {
      Sid      = "TagsItsMachinesLater"
      Effect   = "Allow"
      Action   = ["ec2:CreateTags"]
      Resource = ["${local.ec2}:*:instance/*"]
      Condition = merge(local.own, {
        StringEqualsIfExists        = { "aws:RequestTag/eks:eks-cluster-name" = var.cluster_name }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["Name", "eks:eks-cluster-name", "karpenter.sh/nodeclaim"] }
      })
    },
    {
      Sid       = "EndsItsOwn"
      Effect    = "Allow"
      Action    = ["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"]
      Resource  = ["${local.ec2}:*:instance/*", "${local.ec2}:*:launch-template/*"]
      Condition = local.own
    },
    {
      Sid    = "LooksAroundInItsRegion"
      Effect = "Allow"
      Action = [
        "ec2:DescribeCapacityReservations", "ec2:DescribeImages", "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes", "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplates", "ec2:DescribePlacementGroups", "ec2:DescribeSecurityGroups",
        "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets",
      ]
      Resource  = "*" # EC2 knows no other for what describes
      Condition = { StringEquals = { "aws:RequestedRegion" = var.region } }
    },
    {
      Sid      = "FindsImages"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = ["arn:aws:ssm:${var.region}::parameter/aws/service/*"]
    },
    {
      Sid      = "ReadsPrices"
      Effect   = "Allow"
      Action   = ["pricing:GetProducts"]
      Resource = "*"
    },
    {
      Sid      = "ReadsItsQueue"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      Resource = [aws_sqs_queue.interruptions.arn]
    },
    {
      Sid       = "DecryptsItsQueue"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = [var.queue_key_arn]
      Condition = { StringEquals = { "kms:ViaService" = "sqs.${var.region}.amazonaws.com" } }
    },
    {
      Sid       = "GivesMachinesTheirRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [var.node_role_arn]
      Condition = { StringEquals = { "iam:PassedToService" = ["ec2.amazonaws.com"] } }
    },
    {
      Sid       = "MakesProfiles"
      Effect    = "Allow"
      Action    = ["iam:CreateInstanceProfile"]
      Resource  = [local.profiles]
      Condition = local.new_profile
    },
    {
      Sid      = "TagsProfiles"
      Effect   = "Allow"
      Action   = ["iam:TagInstanceProfile"]
      Resource = [local.profiles]
      Condition = {
        StringEquals = merge(local.new_profile.StringEquals, local.own_profile.StringEquals)
        StringLike   = merge(local.new_profile.StringLike, local.own_profile.StringLike)
      }
    },
    {
      Sid       = "ChangesItsProfiles"
      Effect    = "Allow"
      Action    = ["iam:AddRoleToInstanceProfile", "iam:DeleteInstanceProfile", "iam:RemoveRoleFromInstanceProfile"]
      Resource  = [local.profiles]
      Condition = local.own_profile
    },
    {
      Sid      = "ReadsProfiles"
      Effect   = "Allow"
      Action   = ["iam:GetInstanceProfile"]
      Resource = [local.profiles]
    },
    {
      Sid      = "ListsProfiles"
      Effect   = "Allow"
      Action   = ["iam:ListInstanceProfiles"]
      Resource = "*" # IAM knows no other for what lists
    },
    {
      Sid      = "FindsTheApi"
      Effect   = "Allow"
      Action   = ["eks:DescribeCluster"]
      Resource = ["arn:aws:eks:${var.region}:${var.account_id}:cluster/${var.cluster_name}"]
    },
  ]
}
