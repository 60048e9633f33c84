from tests.datasets.harness import no_network as no_network
