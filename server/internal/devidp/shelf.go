package devidp

import (
	"container/list"
	"time"
)

// shelf is a map that forgets: every entry expires, and the oldest makes room for the newest. So no stream of abandoned
// sign-ins makes the process grow. It is not safe for concurrent use; storage guards it.
type shelf[T any] struct {
	limit int
	byKey map[string]*list.Element
	order *list.List // of slot[T], oldest first
}

type slot[T any] struct {
	key     string
	value   T
	expires time.Time
}

func newShelf[T any](limit int) *shelf[T] {
	return &shelf[T]{limit: limit, byKey: map[string]*list.Element{}, order: list.New()}
}

// put stores value under key until expires, in place of what was there.
func (s *shelf[T]) put(key string, value T, expires time.Time) {
	s.remove(key)
	for s.order.Len() >= s.limit {
		s.removeElement(s.order.Front())
	}
	s.byKey[key] = s.order.PushBack(slot[T]{key, value, expires})
}

func (s *shelf[T]) get(key string, now time.Time) (T, bool) {
	e, ok := s.byKey[key]
	if !ok {
		return *new(T), false
	}
	found := e.Value.(slot[T])
	if !now.Before(found.expires) {
		s.removeElement(e)
		return *new(T), false
	}
	return found.value, true
}

func (s *shelf[T]) remove(key string) {
	if e, ok := s.byKey[key]; ok {
		s.removeElement(e)
	}
}

func (s *shelf[T]) removeWhere(match func(T) bool) {
	for e := s.order.Front(); e != nil; {
		next := e.Next()
		if match(e.Value.(slot[T]).value) {
			s.removeElement(e)
		}
		e = next
	}
}

func (s *shelf[T]) removeElement(e *list.Element) {
	delete(s.byKey, e.Value.(slot[T]).key)
	s.order.Remove(e)
}
