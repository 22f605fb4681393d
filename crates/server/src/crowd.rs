//! How many come from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections of each address.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<IpAddr, Count>>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    all: usize,
    /// Of these, those that have not said who they are.
    unknown: usize,
}

/// How many of them there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrowdLimits {
    pub(crate) all_max: usize,
    pub(crate) unknown_max: usize,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
    unknown: bool,
}

/// A network of 64 bits is one client's: it has all of its addresses.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            match address.is_loopback() {
                true => IpAddr::V6(Ipv6Addr::LOCALHOST),
                false => IpAddr::V6(network.into()),
            }
        }
        four => four,
    }
}

impl Crowd {
    /// Counts a connection; None where there are too many already.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, limits: CrowdLimits) -> Option<Place> {
        let address = whole(address);
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if count.all >= limits.all_max || count.unknown >= limits.unknown_max {
            return None;
        }
        count.all += 1;
        count.unknown += 1;
        drop(counts);
        Some(Place {
            crowd: Arc::clone(self),
            address,
            unknown: true,
        })
    }
}

impl Place {
    /// It has said who it is.
    pub(crate) fn known(&mut self) {
        if std::mem::replace(&mut self.unknown, false)
            && let Some(count) = self.crowd.0.lock().get_mut(&self.address)
        {
            count.unknown -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.known();
        let mut counts = self.crowd.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            count.all -= 1;
            if count.all == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gives_them_back() {
        let crowd = Arc::new(Crowd::default());
        let limits = CrowdLimits {
            all_max: 3,
            unknown_max: 2,
        };
        let enter = |text: &str| {
            let address: IpAddr = text.parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            crowd.enter(address, limits)
        };
        let mut places = vec![enter("10.0.0.1"), enter("10.0.0.1")];
        assert!(places.iter().all(Option::is_some));
        assert!(enter("10.0.0.1").is_none());
        assert!(enter("::ffff:10.0.0.1").is_none());
        assert!(enter("10.0.0.2").is_some());
        for place in places.iter_mut().flatten() {
            place.known();
        }
        places.push(enter("10.0.0.1"));
        assert!(places.last().is_some_and(Option::is_some));
        assert!(enter("10.0.0.1").is_none());
        drop(places);
        assert!(crowd.0.lock().is_empty());
        let six = [enter("2001:db8::1"), enter("2001:db8::ffff:2")];
        assert!(six.iter().all(Option::is_some));
        assert!(enter("2001:db8::3").is_none() && enter("2001:db8:0:1::3").is_some());
    }
}
