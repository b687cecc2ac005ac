package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/events"
)

const lookForInterruptions = time.Second

// interruptions takes Spot nodes back while a line of the shortage file says so.
//
// It does what Karpenter's AWS provider does on a Spot interruption warning: events on the claim, the offering hidden
// for a while, the claim deleted, so that the node drains and its pods get another one. The warning itself is made up.
type interruptions struct {
	client   client.Client
	recorder events.Recorder
	short    *shortage
}

// Start looks every second until the context ends.
func (i *interruptions) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookForInterruptions):
			if err := i.look(ctx, time.Now()); err != nil {
				log.FromContext(ctx).Error(err, "rehearsing Spot interruptions")
			}
		}
	}
}

func (i *interruptions) look(ctx context.Context, now time.Time) error {
	if err := i.short.read(); err != nil {
		return fmt.Errorf("reading the shortage file, %w", err)
	}
	claims := &v1.NodeClaimList{}
	if err := i.client.List(ctx, claims, client.MatchingLabels{v1.CapacityTypeLabelKey: v1.CapacityTypeSpot}); err != nil {
		return err
	}
	for n := range claims.Items {
		claim := &claims.Items[n]
		runs := claim.DeletionTimestamp.IsZero() && claim.StatusConditions().Get(v1.ConditionTypeInitialized).IsTrue()
		if runs && i.short.takesBack(offeringOfClaim(claim), now) {
			i.say(claim, corev1.EventTypeWarning, "SpotInterrupted", "Spot interruption warning was triggered (simulated)")
			i.say(claim, corev1.EventTypeWarning, "TerminatingOnInterruption", "Interruption triggered termination for the NodeClaim")
			if err := client.IgnoreNotFound(i.client.Delete(ctx, claim)); err != nil {
				return err
			}
		}
	}
	return nil
}

func offeringOfClaim(claim *v1.NodeClaim) offering {
	labels := claim.Labels
	return offering{labels[corev1.LabelInstanceTypeStable], labels[v1.CapacityTypeLabelKey], labels[corev1.LabelTopologyZone]}
}

func (i *interruptions) say(claim *v1.NodeClaim, kind, reason, message string) {
	i.recorder.Publish(events.Event{
		InvolvedObject: claim, Type: kind, Reason: reason, Message: message, DedupeValues: []string{claim.Name},
	})
}
