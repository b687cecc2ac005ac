// The two Argo CD programs that the local stack runs, and the helper that git asks for passwords, in one program.
//
// Which of them it is depends on the name it is called by. Argo CD's own main also links its API server and its UI.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	applicationcontroller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	gitaskpass "github.com/argoproj/argo-cd/v3/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/argoproj/argo-cd/v3/util/log"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

func main() {
	klog.SetLogger(log.NewLogrusLogger(log.NewWithCurrentConfig()))
	command := commandNamed(filepath.Base(os.Args[0]))
	if command == nil {
		fmt.Fprintln(os.Stderr, "call it argocd-application-controller, argocd-repo-server or argocd-git-ask-pass")
		os.Exit(2)
	}
	if command.Execute() != nil {
		os.Exit(1)
	}
}

func commandNamed(name string) *cobra.Command {
	switch name {
	case "argocd-application-controller":
		return applicationcontroller.NewCommand()
	case "argocd-repo-server":
		return reposerver.NewCommand()
	case "argocd-git-ask-pass":
		return gitaskpass.NewCommand()
	}
	return nil
}
