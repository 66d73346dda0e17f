//! Three macros: enums with one list of names for flags, files and JSON; types that are their text there; and descriptions that take absent fields from
//! another.

/// Implements `name()`, `Display`, `FromStr` and serde for an enum, so that flags, files and JSON use the same names.
#[macro_export]
macro_rules! words {
    ($type:ident, $what:literal: $($variant:ident = $name:literal $(| $alias:literal)*),+ $(,)?) => {
        impl $type {
            /// The name used in files, flags and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::base::error::Error;

            fn from_str(text: &str) -> $crate::base::error::Result<Self> {
                match text.trim().to_lowercase().replace('_', "-").as_str() {
                    $($name $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err($crate::base::error::Error::unknown($what, text, [$($name),+])),
                }
            }
        }

        $crate::base::words::as_text!($type);
    };
}
pub use words;

/// Lets a type with a text of its own (`Display` and `FromStr`) be that text in files and JSON.
#[macro_export]
#[doc(hidden)]
macro_rules! as_text {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                d: D,
            ) -> std::result::Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                s: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}
pub use as_text;

/// Fills absent fields of `top` from `base`. Every field is named, so a new field does not compile until it is listed.
macro_rules! overlay {
    ($type:ident, $top:ident over $base:ident: $($field:ident),* $(,)?) => {
        $type { $($field: $top.$field.or($base.$field)),* }
    };
}
pub(crate) use overlay;
