package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/config"
)

// pod is what is read of docs/deploy/kubernetes.yaml.
type pod struct {
	Grace           int  `yaml:"terminationGracePeriodSeconds"`
	Token           bool `yaml:"automountServiceAccountToken"`
	SecurityContext struct {
		NonRoot bool              `yaml:"runAsNonRoot"`
		User    int               `yaml:"runAsUser"`
		FSGroup int               `yaml:"fsGroup"`
		Seccomp map[string]string `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Spread     []map[string]any `yaml:"topologySpreadConstraints"`
	Containers []container      `yaml:"containers"`
	Volumes    []struct {
		Name      string `yaml:"name"`
		ConfigMap struct {
			Name string `yaml:"name"`
		} `yaml:"configMap"`
		Secret struct {
			Name  string `yaml:"secretName"`
			Items []struct {
				Key, Path string
			} `yaml:"items"`
		} `yaml:"secret"`
	} `yaml:"volumes"`
}

type container struct {
	Image string   `yaml:"image"`
	Args  []string `yaml:"args"`
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	} `yaml:"ports"`
	Startup         probe                        `yaml:"startupProbe"`
	Liveness        probe                        `yaml:"livenessProbe"`
	Readiness       probe                        `yaml:"readinessProbe"`
	Resources       map[string]map[string]string `yaml:"resources"`
	Lifecycle       map[string]any               `yaml:"lifecycle"`
	SecurityContext struct {
		Escalation bool                `yaml:"allowPrivilegeEscalation"`
		ReadOnly   bool                `yaml:"readOnlyRootFilesystem"`
		Caps       map[string][]string `yaml:"capabilities"`
	} `yaml:"securityContext"`
	Mounts []struct {
		Name      string
		SubPath   string `yaml:"subPath"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTP struct{ Path, Port string } `yaml:"httpGet"`
	// Period and Failures decide how long a probe waits.
	Period   int `yaml:"periodSeconds"`
	Failures int `yaml:"failureThreshold"`
}

// resource is one document of the file; what a kind does not have is zero.
type resource struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas int
		Selector map[string]any
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		MinAvailable int `yaml:"minAvailable"`
		Ports        []struct {
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
	}
}

func cluster(t *testing.T) map[string]resource {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(readDocument(t, "docs/deploy/kubernetes.yaml")))
	all := map[string]resource{}
	for {
		var r resource
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[r.Kind].Kind != "" || r.Metadata.Name != "stagedoor" {
			t.Errorf("%s %s is there twice, or has another name", r.Kind, r.Metadata.Name)
		}
		all[r.Kind] = r
	}
}

// compose is what is read of docs/deploy/compose.yaml.
type compose struct {
	Services map[string]struct {
		Build struct{ Context, Dockerfile string }
		Image string
		Grace string   `yaml:"stop_grace_period"`
		Root  bool     `yaml:"read_only"`
		Drop  []string `yaml:"cap_drop"`
		// Configs is of the one form that is written there; secrets are named or mounted.
		Configs  []mounted
		Secrets  []any
		Expose   []string
		Networks []string
		Deploy   struct{ Replicas int }
	}
	Configs  map[string]struct{ File, Content string }
	Secrets  map[string]struct{ File string }
	Networks map[string]struct{ Internal bool }
}

type mounted struct{ Source, Target string }

func composed(t *testing.T) (c compose) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readDocument(t, "docs/deploy/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// deployed is the configuration of the deployments, in production, and the files that it names.
func deployed(t *testing.T) (cfg *config.Config, files []string) {
	t.Helper()
	text := readDocument(t, "docs/deploy/app-config.yaml")
	cfg, err := config.Load(config.LoadInput{
		Paths: []string{"/etc/stagedoor/app-config.yaml"}, Env: func(string) (string, bool) { return "", false },
		ReadFile: func(name string) ([]byte, error) {
			if name == "/etc/stagedoor/app-config.yaml" {
				return []byte(text), nil
			}
			files = append(files, name)
			return []byte("a-secret-in-a-file-" + path.Base(name)), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if built, err := buildProviders(cfg, slog.New(slog.DiscardHandler)); err != nil || len(built.misconfigured) > 0 {
		t.Fatalf("providers: %v, %v", err, built.misconfigured)
	}
	slices.Sort(files)
	return cfg, slices.Compact(files)
}

// TestDeployedConfig: the configuration loads with the files that are mounted, all of them and no others.
func TestDeployedConfig(t *testing.T) {
	cfg, files := deployed(t)
	if cfg.Development || cfg.Database.Client != config.Postgres || len(cfg.Auth.Session.Secrets) != 1 {
		t.Errorf("not what is deployed: %+v", cfg.Database.Client)
	}
	all := cluster(t)
	if diff := cmp.Diff(readDocument(t, "docs/deploy/app-config.yaml"), all["ConfigMap"].Data["app-config.yaml"]); diff != "" {
		t.Errorf("the ConfigMap has another configuration (-file +ConfigMap):\n%s", diff)
	}
	p := all["Deployment"].Spec.Template.Spec
	var inPod []string
	mounts := map[string]string{}
	for _, m := range p.Containers[0].Mounts {
		if mounts[m.Name] = m.MountPath; m.SubPath != "" || !m.ReadOnly {
			t.Errorf("%s: a file by itself never changes in a pod, and nothing is written", m.MountPath)
		}
	}
	for _, v := range p.Volumes {
		for _, item := range v.Secret.Items {
			inPod = append(inPod, path.Join(mounts[v.Name], item.Path))
		}
		if v.ConfigMap.Name != "" && mounts[v.Name] != "/etc/stagedoor" {
			t.Errorf("the configuration is at %s", mounts[v.Name])
		}
	}
	if diff := cmp.Diff(files, slices.Sorted(slices.Values(inPod))); diff != "" {
		t.Errorf("mounted files differ (-configuration +pod):\n%s", diff)
	}
}

// TestComposedConfig: compose mounts the same configuration and files.
func TestComposedConfig(t *testing.T) {
	_, files := deployed(t)
	c := composed(t)
	var inCompose []string
	for _, s := range c.Services["stagedoor"].Secrets {
		m := s.(map[string]any)
		if inCompose = append(inCompose, m["target"].(string)); c.Secrets[m["source"].(string)].File != "./secrets/"+m["source"].(string) {
			t.Errorf("no file for %v", m["source"])
		}
	}
	if diff := cmp.Diff(files, slices.Sorted(slices.Values(inCompose))); diff != "" {
		t.Errorf("mounted files differ (-configuration +compose):\n%s", diff)
	}
	if got := c.Services["stagedoor"].Configs; len(got) != 1 || got[0].Target != "/etc/stagedoor/app-config.yaml" || c.Configs[got[0].Source].File != "./app-config.yaml" {
		t.Errorf("the configuration is %+v", got)
	}
	for _, file := range files { // what a person is told to make
		if name := path.Base(file); !strings.Contains(readDocument(t, "docs/deploy/README.md"), "| `"+name+"` |") {
			t.Errorf("the README does not name %s", name)
		}
	}
}

// TestDeployedImage: the image is made by the command of the Makefile, and runs as the user and with the arguments of the deployments.
func TestDeployedImage(t *testing.T) {
	dockerfile := readDocument(t, "docs/deploy/Dockerfile")
	build := regexp.MustCompile(`(?m)^build:.*\n\t(.+)$`).FindStringSubmatch(readDocument(t, "Makefile"))
	if build == nil || !strings.Contains(dockerfile, "\nRUN "+build[1]+"\n") {
		t.Errorf("the image is not built by the command of make build: %v", build)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readDocument(t, "go.mod"))
	p := cluster(t)["Deployment"].Spec.Template.Spec
	c := composed(t).Services["stagedoor"]
	for _, want := range []string{
		"FROM golang:" + version[1] + "-", "\nUSER " + strconv.Itoa(p.SecurityContext.User) + ":", "\nCMD [\"" + strings.Join(p.Containers[0].Args, `", "`) + "\"]",
		"\nCOPY --from=build /src/stagedoor /stagedoor\n", "\nENTRYPOINT [\"/stagedoor\"]\n", "distroless/static", "EXPOSE " + c.Expose[0],
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	if path.Join("docs/deploy", c.Build.Context) != "." || c.Build.Dockerfile != "docs/deploy/Dockerfile" || c.Image != p.Containers[0].Image {
		t.Errorf("compose builds %+v as %s", c.Build, c.Image)
	}
	if !c.Root || !slices.Equal(c.Drop, []string{"ALL"}) || c.Deploy.Replicas < 2 || !slices.Contains(composed(t).Services["postgres"].Networks, "inside") {
		t.Errorf("compose: %+v", c)
	}
}

// TestDeployedPod: what a pod may do, where it is asked, and how long it is given.
func TestDeployedPod(t *testing.T) {
	cfg, _ := deployed(t)
	all := cluster(t)
	p := all["Deployment"].Spec.Template.Spec
	c := p.Containers[0]
	for name, ok := range map[string]bool{
		"two replicas":  all["Deployment"].Spec.Replicas == 2 && all["PodDisruptionBudget"].Spec.MinAvailable == 1 && len(p.Spread) > 0,
		"no rights":     p.SecurityContext.NonRoot && p.SecurityContext.FSGroup == p.SecurityContext.User && !p.Token && p.SecurityContext.Seccomp["type"] == "RuntimeDefault",
		"no privileges": !c.SecurityContext.Escalation && c.SecurityContext.ReadOnly && slices.Equal(c.SecurityContext.Caps["drop"], []string{"ALL"}),
		"resources":     c.Resources["requests"]["memory"] != "" && c.Resources["limits"]["memory"] != "" && c.Resources["limits"]["cpu"] == "",
		"no hook":       c.Lifecycle == nil,
		"network":       all["NetworkPolicy"].Kind != "" && all["Ingress"].Kind != "" && all["ServiceAccount"].Kind != "",
		"one selector":  strings.Count(readDocument(t, "docs/deploy/kubernetes.yaml"), "{ app.kubernetes.io/name: stagedoor }") == 8,
	} {
		if !ok {
			t.Errorf("%s: not so", name)
		}
	}
	if len(c.Ports) != 1 || c.Ports[0].ContainerPort != cfg.Backend.Listen.Port || all["Service"].Spec.Ports[0].TargetPort != c.Ports[0].Name {
		t.Errorf("ports %+v and %+v, and it listens on %v", c.Ports, all["Service"].Spec.Ports, cfg.Backend.Listen)
	}
	spec := readDocument(t, "openapi/auth.yaml")
	for _, x := range []struct {
		probe
		route string
	}{{c.Startup, "liveness"}, {c.Liveness, "liveness"}, {c.Readiness, "readiness"}} {
		if !strings.HasSuffix(x.HTTP.Path, "/"+x.route) || !strings.Contains(spec, "\n  "+x.HTTP.Path+":\n") || x.HTTP.Port != c.Ports[0].Name {
			t.Errorf("%s is asked at %+v", x.route, x.HTTP)
		}
	}
	if patience := time.Duration(c.Startup.Period*c.Startup.Failures) * time.Second; patience < 10*time.Minute {
		t.Errorf("a start may take %v, and migrations ten minutes", patience)
	}
}

// TestDeployedStop: nothing is killed that is still allowed to work.
func TestDeployedStop(t *testing.T) {
	cfg, _ := deployed(t)
	need := shutdownDelay(cfg) + drainTime + 5*time.Second
	if grace := time.Duration(cluster(t)["Deployment"].Spec.Template.Spec.Grace) * time.Second; grace < need {
		t.Errorf("Kubernetes kills after %v, and a stop may take %v", grace, need)
	}
	if grace, err := time.ParseDuration(composed(t).Services["stagedoor"].Grace); err != nil || grace < need {
		t.Errorf("compose kills after %v, %v, and a stop may take %v", grace, err, need)
	}
	readiness := cluster(t)["Deployment"].Spec.Template.Spec.Containers[0].Readiness
	if seen := time.Duration(readiness.Period*readiness.Failures) * time.Second; seen > shutdownDelay(cfg) {
		t.Errorf("a load balancer looks away after %v, and the listener closes after %v", seen, shutdownDelay(cfg))
	}
}

// TestDeployFiles: what lies in docs/deploy is what its README lists.
func TestDeployFiles(t *testing.T) {
	listed := map[string]bool{"docs/deploy/README.md": true, "docs/deploy/Dockerfile.dockerignore": true}
	for _, m := range regexp.MustCompile(`\| \[([^\]]+)\]`).FindAllStringSubmatch(readDocument(t, "docs/deploy/README.md"), -1) {
		listed["docs/deploy/"+m[1]] = true
	}
	there := filesBelow(t, "../docs/deploy", func(string) bool { return true })
	if diff := cmp.Diff(slices.Sorted(maps.Keys(listed)), slices.Sorted(slices.Values(there))); diff != "" {
		t.Errorf("files differ (-README +directory):\n%s", diff)
	}
	if bytes.Contains([]byte(readDocument(t, "docs/deploy/compose.yaml")), []byte("$")) {
		t.Error("compose would look for a variable")
	}
}
