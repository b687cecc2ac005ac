package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/karpenter/pkg/cloudprovider"
)

// offering names one thing that can be bought: an instance type, as spot or on-demand, in one zone.
type offering struct {
	instanceType, capacityType, zone string
}

func offeringOf(instanceType string, o *cloudprovider.Offering) offering {
	return offering{instanceType, o.CapacityType(), o.Zone()}
}

// matches says whether o, a line of the shortage file, means the other; "*" means any.
func (o offering) matches(other offering) bool {
	same := func(a, b string) bool { return a == "*" || a == b }
	return same(o.instanceType, other.instanceType) && same(o.capacityType, other.capacityType) &&
		same(o.zone, other.zone)
}

// shortage knows which offerings are short and which were found short a moment ago.
//
// The file has a line "instance-type capacity-type zone" for each short offering ("*" is any, "#" starts a comment).
// It is read at each launch, so writing it starts a shortage and emptying it ends one. A short offering is noticed
// only when a launch tries it, and stays hidden for a while, as in a real account.
type shortage struct {
	path  string
	hide  time.Duration
	mutex sync.Mutex
	lines []offering
	until map[offering]time.Time
}

func newShortage(path string, hide time.Duration) *shortage {
	return &shortage{path: path, hide: hide, until: map[offering]time.Time{}}
}

// read takes the file as it is now; without a path or a file nothing is short.
func (s *shortage) read() error {
	var lines []offering
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

func parseShortage(scanner *bufio.Scanner) ([]offering, error) {
	var lines []offering
	for scanner.Scan() {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if words := strings.Fields(text); len(words) >= 3 {
			lines = append(lines, offering{words[0], words[1], words[2]})
		}
	}
	return lines, scanner.Err()
}

// try remembers which of these offerings, all asked for by one launch, are short now.
func (s *shortage) try(instanceType string, offerings cloudprovider.Offerings, now time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, o := range offerings {
		tried := offeringOf(instanceType, o)
		for _, line := range s.lines {
			if line.matches(tried) {
				s.until[tried] = now.Add(s.hide)
			}
		}
	}
}

// hidden returns a function that says whether an offering was found short within the last while.
func (s *shortage) hidden(now time.Time) func(offering) bool {
	return func(o offering) bool {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return now.Before(s.until[o])
	}
}
