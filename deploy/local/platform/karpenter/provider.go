package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/scheduling"
)

// provider is the kwok provider with true capacities and with shortages.
//
// The kwok provider reports the pods' requests as a node's capacity, which would falsify the limits of a NodePool.
type provider struct {
	*kwok.CloudProvider
	client client.Client
	types  []*cloudprovider.InstanceType
	short  *shortage
}

func newProvider(ctx context.Context, c client.Client, types []*cloudprovider.InstanceType, short *shortage) *provider {
	corrected := nodeClient{Client: c, types: types}
	return &provider{
		CloudProvider: kwok.NewCloudProvider(ctx, corrected, types), client: corrected, types: types, short: short,
	}
}

// GetInstanceTypes returns all types; the offerings that were found short a moment ago are not available.
func (p *provider) GetInstanceTypes(context.Context, *v1.NodePool) ([]*cloudprovider.InstanceType, error) {
	return withAvailability(p.types, p.short.hidden(time.Now())), nil
}

// Create launches the claim on its cheapest offering that is not short.
//
// Like a real fleet request it tries each offering that fits: the refused ones are remembered and hidden, and only when
// none is left the claim fails with InsufficientCapacityError, on which Karpenter makes another claim.
func (p *provider) Create(ctx context.Context, claim *v1.NodeClaim) (*v1.NodeClaim, error) {
	now := time.Now()
	if err := p.short.read(); err != nil {
		return nil, fmt.Errorf("reading the shortage file, %w", err)
	}
	requirements := scheduling.NewNodeSelectorRequirementsWithMinValues(claim.Spec.Requirements...)
	wanted := requirements.Get(corev1.LabelInstanceTypeStable)
	byQuota := false
	for _, instanceType := range p.types {
		if wanted.Has(instanceType.Name) {
			refused := p.short.try(instanceType.Name, instanceType.Offerings.Compatible(requirements), now)
			byQuota = byQuota || refused
		}
	}
	open := withAvailability(p.types, p.short.hidden(now))
	fitting := namesOf(cloudprovider.InstanceTypes(open).Compatible(requirements), wanted)
	if len(fitting) == 0 {
		return nil, cloudprovider.NewInsufficientCapacityError(refusal(byQuota, wanted.Values()))
	}
	launched, err := kwok.NewCloudProvider(ctx, p.client, open).Create(ctx, onlyTypes(claim, fitting))
	if err != nil {
		return nil, err
	}
	if instanceType := find(p.types, launched.Labels); instanceType != nil {
		launched.Status.Capacity = instanceType.Capacity.DeepCopy()
		launched.Status.Allocatable = instanceType.Allocatable().DeepCopy()
	}
	return launched, nil
}

// refusal returns why nothing can be launched, in the words of Karpenter's AWS provider.
func refusal(byQuota bool, types []string) error {
	if byQuota {
		return fmt.Errorf("with fleet error(s), VcpuLimitExceeded: You have requested more vCPU capacity than your current "+
			"vCPU limit allows for the instance bucket that the specified instance type belongs to (simulated quota): %s", types)
	}
	return fmt.Errorf("all requested instance types were unavailable during launch (simulated shortage): %s", types)
}

// nodeClient writes the capacity of the instance type into each Node that the kwok provider creates.
type nodeClient struct {
	client.Client
	types []*cloudprovider.InstanceType
}

func (c nodeClient) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if node, ok := object.(*corev1.Node); ok {
		if instanceType := find(c.types, node.Labels); instanceType != nil {
			node.Status.Capacity = instanceType.Capacity.DeepCopy()
			node.Status.Allocatable = instanceType.Allocatable().DeepCopy()
		}
	}
	return c.Client.Create(ctx, object, options...)
}

// withAvailability returns copies of the types in which the hidden offerings are not available.
func withAvailability(
	types []*cloudprovider.InstanceType, hidden func(offering) bool,
) []*cloudprovider.InstanceType {
	copies := make([]*cloudprovider.InstanceType, 0, len(types))
	for _, instanceType := range types {
		copied := &cloudprovider.InstanceType{}
		instanceType.DeepCopyInto(copied)
		for _, o := range copied.Offerings {
			o.Available = o.Available && !hidden(offeringOf(copied.Name, o))
		}
		copies = append(copies, copied)
	}
	return copies
}

// onlyTypes returns the claim with its instance types narrowed to the given ones.
// The kwok provider wants at least one fitting offering of each type that a claim names.
func onlyTypes(claim *v1.NodeClaim, names []string) *v1.NodeClaim {
	narrowed := claim.DeepCopy()
	for i, requirement := range narrowed.Spec.Requirements {
		if requirement.Key == corev1.LabelInstanceTypeStable {
			narrowed.Spec.Requirements[i].Values = names
		}
	}
	return narrowed
}

func namesOf(types []*cloudprovider.InstanceType, wanted *scheduling.Requirement) []string {
	var names []string
	for _, instanceType := range types {
		if wanted.Has(instanceType.Name) {
			names = append(names, instanceType.Name)
		}
	}
	return names
}

func find(types []*cloudprovider.InstanceType, labels map[string]string) *cloudprovider.InstanceType {
	for _, instanceType := range types {
		if instanceType.Name == labels[corev1.LabelInstanceTypeStable] {
			return instanceType
		}
	}
	return nil
}
