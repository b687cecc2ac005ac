package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/karpenter/pkg/cloudprovider"
)

// What a line of the shortage file does to the offerings it names.
const (
	short     = "short"     // nothing is left of them: a launch is refused
	quota     = "quota"     // the account may have no more of them: a launch is refused
	interrupt = "interrupt" // Spot nodes of this kind are taken back
)

var effects = []string{short, quota, interrupt}

// offering names one thing that can be bought: an instance type, as spot or on-demand, in one zone.
type offering struct {
	instanceType, capacityType, zone string
}

func offeringOf(instanceType string, o *cloudprovider.Offering) offering {
	return offering{instanceType, o.CapacityType(), o.Zone()}
}

// matches says whether o, of a line of the shortage file, means the other; "*" means any.
func (o offering) matches(other offering) bool {
	same := func(a, b string) bool { return a == "*" || a == b }
	return same(o.instanceType, other.instanceType) && same(o.capacityType, other.capacityType) &&
		same(o.zone, other.zone)
}

// line is a line of the shortage file.
type line struct {
	offering
	effect string
}

// shortage knows which offerings are short and which were found short a moment ago.
//
// The file has a line "instance-type capacity-type zone [effect]" for each short offering ("*" is any, "#" starts a
// comment, the effect is "short" unless told). It is read at each use, so writing it starts a shortage and emptying it
// ends one. A short offering is noticed only when a launch tries it, and stays hidden for a while, as in a real account.
type shortage struct {
	path  string
	hide  time.Duration
	mutex sync.Mutex
	lines []line
	until map[offering]time.Time
}

func newShortage(path string, hide time.Duration) *shortage {
	return &shortage{path: path, hide: hide, until: map[offering]time.Time{}}
}

// read takes the file as it is now; without a path or a file nothing is short.
func (s *shortage) read() error {
	var lines []line
	if s.path != "" {
		file, err := os.Open(s.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			defer file.Close()
			if lines, err = parseShortage(bufio.NewScanner(file)); err != nil {
				return err
			}
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.lines = lines
	return nil
}

func parseShortage(scanner *bufio.Scanner) ([]line, error) {
	var lines []line
	for scanner.Scan() {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 3 {
			continue
		}
		found := line{offering{words[0], words[1], words[2]}, short}
		if len(words) > 3 {
			found.effect = words[3]
		}
		if !slices.Contains(effects, found.effect) {
			return nil, fmt.Errorf("%q is none of %s", found.effect, strings.Join(effects, ", "))
		}
		lines = append(lines, found)
	}
	return lines, scanner.Err()
}

// try remembers which of these offerings, all asked for by one launch, are refused now; it says whether one of them is
// so because of a quota.
func (s *shortage) try(instanceType string, offerings cloudprovider.Offerings, now time.Time) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	byQuota := false
	for _, o := range offerings {
		tried := offeringOf(instanceType, o)
		for _, line := range s.lines {
			if line.effect != interrupt && line.matches(tried) {
				s.until[tried] = now.Add(s.hide)
				byQuota = byQuota || line.effect == quota
			}
		}
	}
	return byQuota
}

// takesBack says whether a node of this offering is taken back now; its offering is hidden for a while then.
func (s *shortage) takesBack(o offering, now time.Time) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, line := range s.lines {
		if line.effect == interrupt && line.matches(o) {
			s.until[o] = now.Add(s.hide)
			return true
		}
	}
	return false
}

// hidden returns a function that says whether an offering was found short within the last while.
func (s *shortage) hidden(now time.Time) func(offering) bool {
	return func(o offering) bool {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return now.Before(s.until[o])
	}
}
