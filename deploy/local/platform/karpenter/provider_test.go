package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/scheduling"
)

// cluster is a client that has every node class and keeps the nodes that are created.
type cluster struct {
	client.Client
	nodes chan *corev1.Node
}

func (c *cluster) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func (c *cluster) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	c.nodes <- object.(*corev1.Node)
	return nil
}

func instanceType(name string, price float64, gpus string) *cloudprovider.InstanceType {
	one := func(key, value string) *scheduling.Requirement {
		return scheduling.NewRequirement(key, corev1.NodeSelectorOpIn, value)
	}
	var offerings cloudprovider.Offerings
	for capacityType, factor := range map[string]float64{"spot": 0.4, "on-demand": 1} {
		offerings = append(offerings, &cloudprovider.Offering{
			Price: price * factor, Available: true, Requirements: scheduling.NewRequirements(
				one(v1.CapacityTypeLabelKey, capacityType), one(corev1.LabelTopologyZone, "us-east-1a")),
		})
	}
	return &cloudprovider.InstanceType{
		Name: name, Offerings: offerings, Requirements: scheduling.NewRequirements(one(corev1.LabelInstanceTypeStable, name)),
		Capacity: corev1.ResourceList{"cpu": resource.MustParse("4"), "nvidia.com/gpu": resource.MustParse(gpus)},
		Overhead: &cloudprovider.InstanceTypeOverhead{KubeReserved: corev1.ResourceList{"cpu": resource.MustParse("100m")}},
	}
}

func claim(types ...string) *v1.NodeClaim {
	made := &v1.NodeClaim{}
	made.Spec.NodeClassRef = &v1.NodeClassReference{Name: "default"}
	made.Spec.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
	made.Spec.Requirements = []v1.NodeSelectorRequirementWithMinValues{
		{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: types},
	}
	return made
}

// start returns a provider with two types, g6.xlarge the cheaper one, and the path of its shortage file.
func start(t *testing.T, short string) (*provider, *cluster, string) {
	path := filepath.Join(t.TempDir(), "shortage")
	if err := os.WriteFile(path, []byte(short), 0o600); err != nil {
		t.Fatal(err)
	}
	types := []*cloudprovider.InstanceType{instanceType("g6.xlarge", 0.8, "1"), instanceType("g6.2xlarge", 1.0, "1")}
	nodes := &cluster{nodes: make(chan *corev1.Node, 10)}
	return newProvider(context.Background(), nodes, types, newShortage(path, shortageHidden)), nodes, path
}

func launched(t *testing.T, p *provider, types ...string) map[string]string {
	made, err := p.Create(context.Background(), claim(types...))
	if err != nil {
		t.Fatal(err)
	}
	return made.Labels
}

func TestCreateReportsTheCapacityOfTheInstanceType(t *testing.T) {
	p, nodes, _ := start(t, "")
	made, err := p.Create(context.Background(), claim("g6.xlarge", "g6.2xlarge"))
	if err != nil {
		t.Fatal(err)
	}
	node := <-nodes.nodes
	for where, status := range map[string][2]corev1.ResourceList{
		"claim": {made.Status.Capacity, made.Status.Allocatable}, "node": {node.Status.Capacity, node.Status.Allocatable},
	} {
		gpu, cpu := status[0]["nvidia.com/gpu"], status[1]["cpu"]
		if gpu.String() != "1" || cpu.String() != "3900m" {
			t.Errorf("%s: %s GPUs, %s CPU allocatable", where, gpu.String(), cpu.String())
		}
	}
	if node.Labels[corev1.LabelInstanceTypeStable] != "g6.xlarge" || node.Labels[v1.CapacityTypeLabelKey] != "spot" {
		t.Errorf("not the cheapest offering: %v", node.Labels)
	}
}

func TestCreateTakesTheNextOfferingWhenOneIsShort(t *testing.T) {
	p, _, _ := start(t, "# a shortage\ng6.xlarge spot *\n")
	got := launched(t, p, "g6.xlarge", "g6.2xlarge")
	if got[corev1.LabelInstanceTypeStable] != "g6.2xlarge" || got[v1.CapacityTypeLabelKey] != "spot" {
		t.Errorf("launched %v", got)
	}
}

func TestCreateSkipsATypeThatIsShortAltogether(t *testing.T) {
	p, _, _ := start(t, "g6.xlarge * *\n")
	if got := launched(t, p, "g6.xlarge", "g6.2xlarge"); got[corev1.LabelInstanceTypeStable] != "g6.2xlarge" {
		t.Errorf("launched %v", got)
	}
}

func TestCreateFailsWithInsufficientCapacityWhenNothingIsLeft(t *testing.T) {
	p, _, _ := start(t, "* * us-east-1a\n")
	if _, err := p.Create(context.Background(), claim("g6.xlarge")); !cloudprovider.IsInsufficientCapacityError(err) {
		t.Errorf("got %v", err)
	}
}

func TestShortOfferingsAreHiddenForAWhile(t *testing.T) {
	p, _, path := start(t, "g6.xlarge spot us-east-1a\n")
	launched(t, p, "g6.xlarge")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := launched(t, p, "g6.xlarge"); got[v1.CapacityTypeLabelKey] != "on-demand" {
		t.Errorf("launched %v although spot was found short a moment ago", got)
	}
	types, _ := p.GetInstanceTypes(context.Background(), nil)
	if open := types[0].Offerings.Available(); len(open) != 1 || open[0].CapacityType() != "on-demand" {
		t.Errorf("open: %v", open)
	}
	short := offering{"g6.xlarge", "spot", "us-east-1a"}
	if p.short.hidden(time.Now().Add(shortageHidden))(short) {
		t.Error("still hidden after the time")
	}
}

func TestNothingIsShortWithoutAFile(t *testing.T) {
	p, _, path := start(t, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	launched(t, p, "g6.xlarge")
}

func TestAQuotaIsToldApartFromAShortage(t *testing.T) {
	p, _, _ := start(t, "* * * quota\n")
	_, err := p.Create(context.Background(), claim("g6.xlarge"))
	if !cloudprovider.IsInsufficientCapacityError(err) || !strings.Contains(err.Error(), "VcpuLimitExceeded") {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownEffectStopsTheLaunch(t *testing.T) {
	p, _, _ := start(t, "* * * qouta\n")
	if _, err := p.Create(context.Background(), claim("g6.xlarge")); err == nil || !strings.Contains(err.Error(), "qouta") {
		t.Errorf("got %v", err)
	}
}

func TestAnInterruptionRefusesNoLaunchAndHidesWhatItTookBack(t *testing.T) {
	p, _, _ := start(t, "* spot * interrupt\n")
	if got := launched(t, p, "g6.xlarge"); got[v1.CapacityTypeLabelKey] != "spot" {
		t.Errorf("launched %v", got)
	}
	now := time.Now()
	if p.short.takesBack(offering{"g6.xlarge", "on-demand", "us-east-1a"}, now) {
		t.Error("on-demand was taken back")
	}
	if !p.short.takesBack(offering{"g6.xlarge", "spot", "us-east-1a"}, now) {
		t.Error("spot was not taken back")
	}
	if got := launched(t, p, "g6.xlarge"); got[v1.CapacityTypeLabelKey] != "on-demand" {
		t.Errorf("launched %v", got)
	}
}

func TestARunningSpotNodeIsTakenBackAndNothingElse(t *testing.T) {
	p, _, _ := start(t, "* * * interrupt\n")
	claims := &claims{items: []v1.NodeClaim{
		running("runs", "spot", true), running("launches", "spot", false),
	}}
	said := &notes{}
	look := &interruptions{client: claims, recorder: said, short: p.short}
	if err := look.look(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(claims.deleted) != 1 || claims.deleted[0] != "runs" {
		t.Errorf("deleted %v", claims.deleted)
	}
	if !slices.Equal(said.reasons, []string{"SpotInterrupted", "TerminatingOnInterruption"}) {
		t.Errorf("said %v", said.reasons)
	}
}

// notes keeps the reasons of the events that are published.
type notes struct{ reasons []string }

func (n *notes) Publish(published ...events.Event) {
	for _, event := range published {
		n.reasons = append(n.reasons, event.Reason)
	}
}

// claims is a client that lists NodeClaims and keeps the names of those that are deleted.
type claims struct {
	client.Client
	items   []v1.NodeClaim
	deleted []string
}

func (c *claims) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1.NodeClaimList).Items = c.items
	return nil
}

func (c *claims) Delete(_ context.Context, object client.Object, _ ...client.DeleteOption) error {
	c.deleted = append(c.deleted, object.GetName())
	return nil
}

func running(name, capacityType string, initialized bool) v1.NodeClaim {
	made := v1.NodeClaim{}
	made.Name = name
	made.Labels = map[string]string{
		corev1.LabelInstanceTypeStable: "g6.xlarge", v1.CapacityTypeLabelKey: capacityType, corev1.LabelTopologyZone: "us-east-1a",
	}
	if initialized {
		made.StatusConditions().SetTrue(v1.ConditionTypeInitialized)
	}
	return made
}
