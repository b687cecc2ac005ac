// Karpenter for the local stack: the unmodified controllers with the kwok provider behind a thin wrapper of ours.
//
// The wrapper (provider.go) corrects what the kwok provider reports as capacity, and rehearses from a file (shortage.go)
// what kwok cannot have: a shortage of GPU instances, a used-up quota, Spot interruptions (interruptions.go). Everything
// goes through Karpenter's public API; nothing upstream is changed.
package main

import (
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/overlay"
	"sigs.k8s.io/karpenter/pkg/controllers"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/operator"
)

// shortageHidden is how long an offering that was short stays hidden, unless SHORTAGE_HIDDEN says otherwise: what
// Karpenter's AWS provider does.
const shortageHidden = 3 * time.Minute

func main() {
	ctx, op := operator.NewOperator()
	instanceTypes, err := kwok.ConstructInstanceTypes(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "reading the instance types")
		os.Exit(1)
	}
	hide := shortageHidden
	if told := os.Getenv("SHORTAGE_HIDDEN"); told != "" {
		if hide, err = time.ParseDuration(told); err != nil {
			log.FromContext(ctx).Error(err, "reading SHORTAGE_HIDDEN")
			os.Exit(1)
		}
	}
	short := newShortage(os.Getenv("SHORTAGE_FILE_PATH"), hide)
	if err := op.Manager.Add(&interruptions{client: op.GetClient(), recorder: op.EventRecorder, short: short}); err != nil {
		log.FromContext(ctx).Error(err, "adding the interruptions")
		os.Exit(1)
	}
	raw := newProvider(ctx, op.GetClient(), instanceTypes, short)
	decorated := overlay.Decorate(raw, op.GetClient(), op.InstanceTypeStore)
	cluster := state.NewCluster(op.Clock, op.GetClient(), decorated)
	op.WithControllers(ctx, controllers.NewControllers(
		ctx, op.Manager, op.Clock, op.GetClient(), op.EventRecorder, decorated, raw, cluster, op.InstanceTypeStore,
	)...).Start(ctx)
}
